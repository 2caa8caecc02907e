// What a machine can see of a page's looks: too wide, too small for a thumb, too faint to read.

const TARGET_PX = 44;

/** Controls that are shown and smaller than a thumb; a radio's label is its target, a link in a sentence is exempt. */
export function smallTargets(page) {
  return page.evaluate((least) => {
    const found = [];
    for (const element of document.querySelectorAll("button, a[href], input, label.member, summary")) {
      if (element.matches(".skip, p > a") || element.closest(".hidden") || !element.checkVisibility()) continue;
      const { width, height } = element.getBoundingClientRect();
      if (width < least || height < least) found.push(`${element.textContent || element.id}: ${width} × ${height}`);
    }
    return found;
  }, TARGET_PX);
}

/** How far a page can be scrolled sideways, which it never should. */
export function sidewaysPx(page) {
  return page.evaluate(() => Math.max(0, document.documentElement.scrollWidth - document.documentElement.clientWidth));
}

/** Texts whose contrast with what is behind them is under 4.5 (3 where they are large), by the formula of WCAG 2. */
export function faintTexts(page) {
  return page.evaluate(() => {
    const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
    // The canvas reads every notation of a colour; painted over each other, translucent ones mix as on the page.
    const paint = (colors) => {
      canvas.clearRect(0, 0, 1, 1);
      for (const color of colors) {
        canvas.fillStyle = color;
        canvas.fillRect(0, 0, 1, 1);
      }
      return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
    };
    const luminance = (rgb) => {
      const [r, g, b] = rgb.map((v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4));
      return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const faint = [];
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    for (let node = texts.nextNode(); node; node = texts.nextNode()) {
      const element = node.parentElement;
      const style = getComputedStyle(element);
      if (!node.data.trim() || element.closest("[aria-hidden=true], .hidden, .skip, script, style, option")) continue;
      const layers = [];
      for (let at = element; at; at = at.parentElement) layers.unshift(getComputedStyle(at).backgroundColor);
      const behind = luminance(paint(layers));
      const text = luminance(paint([...layers, style.color]));
      const contrast = (Math.max(behind, text) + 0.05) / (Math.min(behind, text) + 0.05);
      const large = Number.parseFloat(style.fontSize) >= 24;
      if (contrast < (large ? 3 : 4.5)) faint.push(`${node.data.trim().slice(0, 40)}: ${contrast.toFixed(2)}`);
    }
    return faint;
  });
}
