// The edge's objects as they are, behind a Worker that hands each request to the one that its path names: /<binding>/<object's name>.
export { Campaign, CodeShard, Directory, Member, Merchant, Pool, Recorder, Throttle } from "./index.js";

export default {
  fetch(request, env) {
    const [, , , binding, ...name] = request.url.split("/");
    if (binding === "healthz") return new Response("ok");
    return env[binding].get(env[binding].idFromName(name.join("/"))).fetch(request);
  },
};
