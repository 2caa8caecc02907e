// What is in the npm package, and what it does in Node and for the TypeScript compiler.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { gzipSync } from "node:zlib";

import { pack, project, root, run } from "./project.mjs";

const CODE = "0000-PMHX-FT5V-PPXF-4FNQ";
const node = (folder, file) => run(process.execPath, [file], { cwd: folder });

describe("the tarball", () => {
  it("holds the build, its types and the page, and nothing else", () => {
    const { files } = pack();
    for (const wanted of ["README.md", "package.json", "dist/browser.js", "dist/node.js", "dist/react.js", "dist/inline.js", "dist/counterfoil.wasm", "dist/index.d.ts", "dist/react/index.d.ts", "dist/points.js", "dist/points-react.js", "dist/checkout.js", "dist/till.js", "dist/till-react.js", "dist/till/index.d.ts", "generated/counterfoil_sdk.d.ts"]) {
      assert.ok(files.includes(wanted), `${wanted} is missing`);
    }
    const unwanted = files.filter((file) => !/^(README\.md|package\.json|dist\/[\w./-]+\.(js|js\.map|wasm|d\.ts)|generated\/counterfoil_sdk\.d\.ts)$/.test(file));
    assert.deepEqual(unwanted, []);
  });

  it("tells nothing of the machine that built it", () => {
    const folder = project({});
    for (const file of pack().files) {
      const text = readFileSync(join(folder, "node_modules/@counterfoil/sdk", file), "latin1");
      for (const foreign of [root, process.env.HOME]) {
        if (foreign && foreign !== "/") assert.ok(!text.includes(`${foreign}/`), `${file} names ${foreign}`);
      }
    }
  });

  it("has metadata that agrees with its contents", () => {
    const { files } = pack();
    const manifest = JSON.parse(readFileSync(join(root, "sdk/package.json"), "utf8"));
    assert.equal(manifest.license, "MIT OR Apache-2.0");
    assert.equal(manifest.sideEffects, false);
    assert.deepEqual(manifest.dependencies ?? {}, {});
    assert.deepEqual(manifest.peerDependenciesMeta, { react: { optional: true } });
    const named = (value) => (typeof value === "string" ? [value] : Object.values(value).flatMap(named));
    for (const file of [...named(manifest.exports), manifest.types]) {
      assert.ok(files.includes(file.replace(/^\.\//, "")), `${file} is exported and not there`);
    }
    assert.equal(Object.keys(manifest.exports["."])[0], "types", "TypeScript takes the first condition that fits");
  });

  it("keeps to its sizes", () => {
    const dist = join(project({}), "node_modules/@counterfoil/sdk/dist");
    const gzip = (name) => gzipSync(readFileSync(join(dist, name)), { level: 9 }).length;
    assert.ok(gzip("counterfoil.wasm") + gzip("browser.js") <= 25_000);
    assert.ok(gzip("react.js") <= 4_000);
    for (const [name, most] of [["points.js", 400], ["points-react.js", 1_000], ["checkout.js", 2_000], ["till.js", 4_000], ["till-react.js", 3_000]]) {
      assert.ok(gzip(name) <= most, `${name}: ${gzip(name)}`);
    }
  });
});

describe("Node", () => {
  it("checks codes, without React installed", () => {
    const folder = project({
      "main.js": `
        import { checkCode, createClient, CounterfoilError, ready } from "@counterfoil/sdk";
        const early = checkCode("${CODE}").ok;
        await ready();
        createClient({ baseUrl: "http://127.0.0.1:9", token: "t" });
        const slip = checkCode("0000-PMHX-FT6V-PPXF-4FNQ").suggestions[0].code;
        console.log(JSON.stringify([early, slip, new CounterfoilError("x", "y") instanceof Error]));`,
    });
    assert.deepEqual(JSON.parse(node(folder, "main.js")), [true, CODE, true]);
  });

  it("renders the React layer on a server, over one copy of the client's code", () => {
    const folder = project(
      {
        "main.js": `
          import * as sdk from "@counterfoil/sdk";
          import { CounterfoilProvider, RedeemForm } from "@counterfoil/sdk/react";
          import { createElement as h } from "react";
          import { renderToString } from "react-dom/server";
          const client = sdk.createClient({ baseUrl: "https://edge.test", token: "t" });
          const html = renderToString(h(CounterfoilProvider, { client }, h(RedeemForm)));
          console.log(html);`,
      },
      { uses: ["react", "react-dom"] },
    );
    assert.match(node(folder, "main.js"), /^<form data-part="form" data-state="idle"/);
  });

  it("gives points, checkout and till as entries of their own, with one class of errors", () => {
    const folder = project({
      "main.js": `
        import { createClient, CounterfoilError } from "@counterfoil/sdk";
        import { checkout } from "@counterfoil/sdk/checkout";
        import { catalogue } from "@counterfoil/sdk/points";
        import { createTill } from "@counterfoil/sdk/till";
        const options = { baseUrl: "http://127.0.0.1:9", token: "t" };
        const client = createClient(options);
        const failures = [
          () => catalogue(client),
          () => checkout(client, "o1").holds(),
          () => checkout(client, "o1").hold({}),
          () => createTill(options).lookup("+4915112345678"),
          async () => createTill({}),
        ];
        const errors = await Promise.all(failures.map((fail) => fail().catch((error) => error)));
        console.log(JSON.stringify(errors.map((error) => error instanceof CounterfoilError && error.code)));`,
    });
    const codes = ["network_error", "network_error", "invalid_argument", "network_error", "invalid_argument"];
    assert.deepEqual(JSON.parse(node(folder, "main.js")), codes);
  });

  it("says which package is missing when React is", () => {
    const folder = project({ "main.js": `import("@counterfoil/sdk/react").catch((error) => console.log(error.message));` });
    assert.match(node(folder, "main.js"), /Cannot find package 'react'/);
  });
});

describe("TypeScript", () => {
  const files = {
    "shop.tsx": `
      import { checkCode, type Client, createClient, CounterfoilError, type FeedEvent, type Redemption, type Reward, type RewardAction, type Wallet } from "@counterfoil/sdk";
      import { checkout, type Hold } from "@counterfoil/sdk/checkout";
      import { catalogue, type CatalogueItem } from "@counterfoil/sdk/points";
      import { useCatalogue } from "@counterfoil/sdk/points/react";
      import { createTill, type Quote, type Sale, type Till, type TillMember } from "@counterfoil/sdk/till";
      import { useReachable, useTill } from "@counterfoil/sdk/till/react";
      import { CounterfoilProvider, RedeemForm, useCodeInput, useEvents, useRedemption, useRedemptions, useRewards, useWallet } from "@counterfoil/sdk/react";

      export const client: Client = createClient({ baseUrl: "/", token: async () => "t" });
      export const later: Promise<Redemption[]> = client.resume();
      export const renewed = createClient({ baseUrl: "/", token: (refused?: string) => refused ?? "t" });
      export const leftMs = (reward: Reward): number => Date.parse(reward.runs_until ?? "") - client.now();
      // @ts-expect-error there is no such state
      void client.rewards.list({ state: "lost" });
      export function describeCode(text: string): string {
        const check = checkCode(text, { typing: true });
        // A tagged union: each branch has its own fields.
        return check.ok ? check.canonical + check.epoch : check.reason + (check.suggestions[0]?.changed.join() ?? "");
      }
      export function refusal(error: unknown): string | undefined {
        return error instanceof CounterfoilError && error.isRefusal ? error.code : undefined;
      }
      function Shop() {
        const { inputProps, suggestion } = useCodeInput();
        const { state, redemption } = useRedemption({ order: "o1" });
        const wallet: Wallet | null = useWallet().wallet;
        const list: Redemption[] = useRedemptions().redemptions;
        const { rewards, claim, pending, errors } = useRewards();
        const first: Reward | undefined = rewards[0];
        const asked: RewardAction | undefined = first && pending[first.id];
        if (first?.state === "unclaimed" && !asked && !errors[first.id]) void claim(first.id).then((moved: boolean) => moved);
        useEvents((event: FeedEvent) => void event.seq);
        return <p data-state={state}><input {...inputProps} />{suggestion?.code}{redemption?.status}{wallet?.points}{list.length}</p>;
      }
      export const app = <CounterfoilProvider client={client}><Shop /><RedeemForm classNames={{ input: "wide" }} /></CounterfoilProvider>;
      // @ts-expect-error a code or a reward is needed
      void client.redeem({ order: "o1" });
      export const bought: Promise<Redemption> = client.redeem({ rewardId: "mug", quantity: 2 });
      export const items: Promise<CatalogueItem[]> = catalogue(client);
      export const hold: Promise<Hold> = checkout(client, "o1").hold({ creditMinor: 500, total: { currency: "EUR", amount_minor: 2000 } });
      // @ts-expect-error against what?
      void checkout(client, "o1").hold({ code: "x" });
      export const till: Till = createTill({ baseUrl: "/", token: async () => "t" });
      export async function give(phone: string): Promise<Redemption> {
        const { member_id, rewards, next_reward }: TillMember = await till.lookup(phone);
        const quote: Quote = await till.quote({ memberId: member_id, rewardId: rewards[0]?.reward_id ?? next_reward?.reward_id ?? "" });
        return till.confirm(quote, { override: { reason: "a regular" }, onRetry: ({ code }) => void code });
      }
      // @ts-expect-error a reason is needed
      void till.reverse("re_1", {});
      export function Counter() {
        const { step, sale, lookup, choose, confirm, undo } = useTill(till);
        const last: Sale | null = sale;
        const { items, buy } = useCatalogue();
        const reachable: boolean = useReachable(till);
        if (step === "quoted" && reachable) void confirm();
        return <button onClick={() => { void lookup("+49"); void choose({ reward_id: "mug" }); void undo("wrong"); void buy("mug", 2); }}>{last?.reward_name}{items.length}</button>;
      }
      // @ts-expect-error no such field in a refused check
      export const wrong = (text: string) => { const check = checkCode(text); return check.ok ? "" : check.canonical; };`,
  };
  for (const [module, moduleResolution] of [["esnext", "bundler"], ["nodenext", "nodenext"]]) {
    it(`takes the types strictly (${moduleResolution})`, () => {
      const compilerOptions = { strict: true, noEmit: true, exactOptionalPropertyTypes: true, skipLibCheck: false, target: "es2022", lib: ["es2023", "dom", "dom.iterable"], jsx: "react-jsx", types: ["react"], module, moduleResolution };
      const tsconfig = JSON.stringify({ compilerOptions, include: ["shop.tsx"] });
      const folder = project({ ...files, "tsconfig.json": tsconfig }, { uses: ["@types/react", "csstype", "typescript"] });
      run(process.execPath, [join(root, "node_modules/typescript/bin/tsc"), "-p", folder], { cwd: folder });
    });
  }
});
