// A manager's decision: who, and why. Their sign-in serves this one deed and is not kept.

import { useState } from "react";

import { managers, type Person } from "./people";

interface ReasonProps {
  legend: string;
  reasons: readonly string[];
  value: string;
  onChange(reason: string): void;
}

/** A reason by one press, or in own words. */
export function Reason({ legend, reasons, value, onChange }: ReasonProps) {
  return (
    <fieldset className="choices">
      <legend>{legend}</legend>
      <div className="choices-row">
        {reasons.map((reason) => (
          <label key={reason} className="choice">
            <input type="radio" name="reason" checked={value === reason} onChange={() => onChange(reason)} />
            {reason}
          </label>
        ))}
      </div>
      <input
        type="text"
        className="text"
        maxLength={200}
        aria-label="Another reason"
        placeholder="Another reason"
        value={reasons.includes(value) ? "" : value}
        onChange={(event) => onChange(event.target.value)}
      />
    </fieldset>
  );
}

export interface ManagerChoiceProps {
  chosen: Person | null;
  onChoose(manager: Person): void;
}

/** Who decides. */
export function ManagerChoice({ chosen, onChoose }: ManagerChoiceProps) {
  return (
    <fieldset className="choices">
      <legend>Manager</legend>
      <div className="choices-row">
        {managers.map((manager) => (
          <label key={manager.id} className="choice">
            <input type="radio" name="manager" checked={manager === chosen} onChange={() => onChoose(manager)} />
            {manager.name}
          </label>
        ))}
      </div>
      <p className="quiet small">In this demo a name is enough. A shop asks for the manager's badge or PIN here; the sign-in serves this one decision.</p>
    </fieldset>
  );
}

/** The manager who was chosen last is not kept: each decision is somebody's own. */
export const useManager = (): [Person | null, (manager: Person | null) => void] => useState<Person | null>(null);
