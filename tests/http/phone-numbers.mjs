// Telephone numbers as people write them, with the number each stands for, by the national numbering plans (ITU-T E.164 and
// its national annexes). The digits are of ranges that are in use or reserved for examples.

/** `[country, as written at home, E.164]`. */
export const NATIONAL = [
  ["DE", "0151 23456789", "+4915123456789"],
  ["DE", "(030) 1234 5678", "+493012345678"],
  ["GB", "07400 123456", "+447400123456"],
  ["GB", "020 7946 0018", "+442079460018"],
  ["FR", "06 12 34 56 78", "+33612345678"],
  // Italy dials no trunk prefix: the 0 of a landline is part of the number.
  ["IT", "312 345 6789", "+393123456789"],
  ["IT", "06 1234 5678", "+390612345678"],
  ["ES", "612 34 56 78", "+34612345678"],
  ["PT", "912 345 678", "+351912345678"],
  ["NL", "06 12345678", "+31612345678"],
  ["BE", "0470 12 34 56", "+32470123456"],
  ["CH", "078 123 45 67", "+41781234567"],
  ["AT", "0664 1234567", "+436641234567"],
  ["PL", "512 345 678", "+48512345678"],
  ["CZ", "601 123 456", "+420601123456"],
  ["SE", "070-123 45 67", "+46701234567"],
  ["NO", "406 12 345", "+4740612345"],
  ["DK", "32 12 34 56", "+4532123456"],
  ["FI", "041 2345678", "+358412345678"],
  ["IE", "085 012 3456", "+353850123456"],
  // Hungary's trunk prefix has two digits.
  ["HU", "06 20 123 4567", "+36201234567"],
  ["GR", "691 234 5678", "+306912345678"],
  ["TR", "0501 234 56 78", "+905012345678"],
  ["US", "(201) 555-0123", "+12015550123"],
  ["CA", "506-234-5678", "+15062345678"],
  ["BR", "(11) 96123-4567", "+5511961234567"],
  ["AU", "0412 345 678", "+61412345678"],
  ["NZ", "021 123 4567", "+64211234567"],
  ["JP", "090-1234-5678", "+819012345678"],
  ["IN", "081234 56789", "+918123456789"],
  ["ZA", "071 123 4567", "+27711234567"],
];

/** The same number, written in other ways that mean it wherever the merchant is. */
export const WRITINGS = (e164) => [e164, `${e164.slice(0, 3)} ${e164.slice(3, 6)} ${e164.slice(6)}`, `${e164.slice(0, 3)}-${e164.slice(3, 7)}-${e164.slice(7)}`, `  ${e164} `, `${e164.slice(0, 3)} (${e164.slice(3, 6)}) ${e164.slice(6)}`];

/** What is no telephone number anywhere, whatever the merchant's country. */
export const NONSENSE = [
  ["empty", ""],
  ["blanks", "   "],
  ["a plus alone", "+"],
  ["two pluses", "++4915123456789"],
  ["a plus in the middle", "49+15123456789"],
  ["a country code that begins with 0", "+0151234567"],
  ["one digit", "+4"],
  ["a country code alone", "+49"],
  ["sixteen digits", "+4915123456789012"],
  ["letters", "+49 CALL ME NOW"],
  ["a letter at the end", "+4915123456789x"],
  ["words", "my phone"],
  ["Arabic digits", "+\u0664\u0669\u0661\u0665\u0661\u0662\u0663\u0664\u0665\u0666\u0667\u0668\u0669"],
  ["a zero byte", "+4915123456789\0"],
  ["two numbers", "+4915123456789, +4915123456780"],
  ["ten thousand digits", `+${"1".repeat(10_000)}`],
  ["a number", 4915123456789],
  ["a list", ["+4915123456789"]],
  ["true", true],
];
