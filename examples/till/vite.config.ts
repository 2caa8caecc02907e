import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

export default defineConfig({
  plugins: [react()],
  // The page may be put under any path of a shop's site.
  base: "./",
  server: { host: "127.0.0.1" },
  build: { target: "es2022" },
});
