import "@fontsource-variable/figtree/index.css";
import "./styles/base.css";
import "./styles/frame.css";
import "./styles/pad.css";
import "./styles/member.css";
import "./styles/sale.css";
import "./styles/receipt.css";

import { StrictMode } from "react";
import { createRoot } from "react-dom/client";

import { App } from "./app";

const root = document.getElementById("root");
if (!root) throw new Error("index.html has no #root.");
createRoot(root).render(
  <StrictMode>
    <App />
  </StrictMode>,
);
