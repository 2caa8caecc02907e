import "@fontsource-variable/figtree/index.css";
import "@fontsource-variable/jetbrains-mono/index.css";
import "./styles/base.css";
import "./styles/header.css";
import "./styles/redeem.css";
import "./styles/ticket.css";
import "./styles/account.css";
import "./styles/rewards.css";
import "./styles/spend.css";

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
