// The till: one customer after the other, from phone number to receipt.

import type { Sale, Till } from "@counterfoil/sdk/till";
import { useReachable, useTill } from "@counterfoil/sdk/till/react";
import { useEffect, useMemo, useState } from "react";

import { ConfirmScreen, ConfirmingScreen } from "./confirm-screen";
import { DoneScreen } from "./done-screen";
import { Bar } from "./frame";
import { Icon } from "./icons";
import { MemberScreen } from "./member-screen";
import { type Person, personFromAddress, tillOf, writePersonToAddress } from "./people";
import { PhoneScreen } from "./phone-screen";
import { Receipt } from "./receipt";
import { ShortageScreen } from "./shortage-screen";

export function App() {
  const [person, setPerson] = useState(personFromAddress);
  const till = useMemo(() => tillOf(person), [person]);
  const choose = (chosen: Person) => {
    writePersonToAddress(chosen);
    setPerson(chosen);
  };
  // By key: nothing that one looked up may be seen, or taken back, by the next.
  return <Counter key={person.id} till={till} person={person} onChoose={choose} />;
}

/** The last redemption of this tab, so that a reload does not lose its receipt and its undo. */
const saleKey = (person: Person): string => `till:sale:${person.id}`;

function keptSale(person: Person): Sale | null {
  try {
    return JSON.parse(sessionStorage.getItem(saleKey(person)) ?? "null") as Sale | null;
  } catch {
    return null;
  }
}

function Counter({ till, person, onChoose }: { till: Till; person: Person; onChoose(person: Person): void }) {
  const [initialSale] = useState(() => keptSale(person));
  const counter = useTill(till, { initialSale });
  const reachable = useReachable(till);
  const { step, sale } = counter;

  useEffect(() => {
    if (sale) sessionStorage.setItem(saleKey(person), JSON.stringify(sale));
  }, [sale, person]);

  return (
    <>
      <div className="screen">
        <Bar person={person} reachable={reachable} locked={counter.busy !== null} onChoose={onChoose} />
        <div className="banner-place" role="status">
          {!reachable && (
            <p className="banner">
              <Icon name="offline" />
              <span>
                <strong>Offline.</strong> Nothing can be confirmed until the shop's server answers. The till keeps trying.
              </span>
            </p>
          )}
        </div>
        <main className="page" data-step={step}>
          {step === "idle" && <PhoneScreen counter={counter} reachable={reachable} />}
          {step === "member" && <MemberScreen counter={counter} reachable={reachable} />}
          {step === "quoted" && <ConfirmScreen counter={counter} reachable={reachable} now={till.now} />}
          {step === "short" && <ShortageScreen counter={counter} reachable={reachable} />}
          {step === "confirming" && <ConfirmingScreen counter={counter} />}
          {step === "done" && <DoneScreen counter={counter} reachable={reachable} />}
        </main>
      </div>
      {/* What a printer gets, whichever page is shown. */}
      {sale && (
        <div className="paper" aria-hidden="true">
          <Receipt sale={sale} phone={counter.phone} />
        </div>
      )}
    </>
  );
}
