// The page: one member's shop account, with the redeem box in front.

import { CounterfoilProvider } from "@counterfoil/sdk/react";
import { useMemo, useState } from "react";

import { ConnectionNote, ConnectionState } from "./connection";
import { Brand, MemberChoice } from "./header";
import { History } from "./history";
import { clientOf, type Member, memberFromAddress, writeMemberToAddress } from "./members";
import { Redeem } from "./redeem";
import { Rewards } from "./rewards";
import { Spend } from "./spend";
import { Wallet } from "./wallet";

export function App() {
  const [member, setMember] = useState(memberFromAddress);
  const client = useMemo(() => clientOf(member), [member]);
  const choose = (chosen: Member) => {
    writeMemberToAddress(chosen);
    setMember(chosen);
  };
  return (
    <CounterfoilProvider client={client}>
      <a className="skip" href="#redeem">
        Skip to the code box
      </a>
      <header className="bar">
        <Brand />
        <ConnectionState key={member.id} />
        <MemberChoice chosen={member} onChoose={choose} />
      </header>
      {/* By key: nothing typed by or known of one member may be seen by the next. */}
      <Account key={member.id} member={member} />
      <footer className="foot">
        <p>
          Northlight is a demo shop: no real goods, no real money. Codes are checked for typing errors in this page and redeemed exactly
          once by Counterfoil.
        </p>
      </footer>
    </CounterfoilProvider>
  );
}

function Account({ member }: { member: Member }) {
  return (
    <main className="page">
      <div className="intro">
        <h1>Redeem a code</h1>
        <p>Gift card, voucher or newsletter code: what it is worth goes straight to your wallet.</p>
      </div>
      <Redeem />
      <div className="account">
        <ConnectionNote />
        <Wallet member={member} />
      </div>
      <Rewards />
      <Spend />
      <History />
    </main>
  );
}
