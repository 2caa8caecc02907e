// The shop's name, and who is shopping.

import { type Member, members } from "./members";

export function Brand() {
  return (
    <p className="brand">
      <svg viewBox="0 0 32 32" width="32" height="32" aria-hidden="true" focusable="false">
        <rect width="32" height="32" rx="9" fill="var(--logo)" />
        <path d="M16 6.5l2.5 7 7 2.5-7 2.5-2.5 7-2.5-7-7-2.5 7-2.5z" fill="var(--logo-star)" />
      </svg>
      Northlight
    </p>
  );
}

export function MemberChoice({ chosen, onChoose }: { chosen: Member; onChoose(member: Member): void }) {
  return (
    <fieldset className="members">
      <legend>Shopping as</legend>
      <div className="members-row">
        {members.map((member) => (
          <label key={member.id} className="member">
            <input
              type="radio"
              name="member"
              value={member.id}
              checked={member.id === chosen.id}
              onChange={() => onChoose(member)}
            />
            <span className="member-face" aria-hidden="true">
              {member.name[0]}
            </span>
            {member.name}
          </label>
        ))}
      </div>
    </fieldset>
  );
}
