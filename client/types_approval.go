package client

import "time"

// A Change is an act that waits for approval, or did.
type Change struct {
	ID        string         `json:"id"`
	Tenant    string         `json:"tenant"`
	Kind      string         `json:"kind" doc:"What is to be done." example:"profile.publish"`
	Target    string         `json:"target" doc:"What it is about." example:"profile:meter"`
	Scope     string         `json:"scope" doc:"Where that is: who decides has the role on a scope that covers it." example:"tenant"`
	Summary   string         `json:"summary" doc:"One line for people."`
	Payload   string         `json:"payload,omitempty" doc:"The exact request, in canonical JSON (RFC 8785), but with asterisks for the characters of a challengePassword; absent in listings."`
	Hash      string         `json:"hash" doc:"SHA-256, in hexadecimal, over tenant, kind, target and payload, each after its length in 8 octets, the highest first. A decision names it."`
	Requester string         `json:"requester" doc:"Who asked for it." example:"token:0d3k2 (ops laptop)"`
	Created   time.Time      `json:"created"`
	Expires   time.Time      `json:"expires" doc:"It is neither decided nor done from then on."`
	State     string         `json:"state" enum:"pending,approved,executed,refused,withdrawn,expired,failed" doc:"Where it is. One that is approved is done at once, or when what stands in the way is gone."`
	Waits     string         `json:"waits,omitempty" doc:"Who must approve next; absent where nobody must." example:"1 security-officer"`
	Outcome   string         `json:"outcome,omitempty" doc:"Why it was refused or withdrawn, or failed."`
	Finished  time.Time      `json:"finished,omitzero" doc:"When it came to its final state."`
	Steps     []ApprovalStep `json:"steps" doc:"What it needs, one step after another."`
	Decisions []Decision     `json:"decisions" doc:"What was decided so far, in order."`

	Certificates []ChangeCertificate `json:"certificates,omitempty" doc:"What an enrolment led to that was approved: one certificate, or those of a pair."`
}

// An ApprovalStep is so many approvals by holders of a role.
type ApprovalStep struct {
	Role string `json:"role" doc:"One that includes approvals.decide." example:"security-officer"`
	N    int    `json:"n" minimum:"1" maximum:"10" doc:"How many of them."`
}

// A ChangeCertificate names a certificate that a change led to.
type ChangeCertificate struct {
	Issuer string `json:"issuer"`
	Serial string `json:"serial"`
}

// A Decision is what one principal said of a change.
type Decision struct {
	Step    int       `json:"step" doc:"From 1."`
	By      string    `json:"by" example:"token:0d3k9 (officer)"`
	At      time.Time `json:"at"`
	Verdict string    `json:"verdict" enum:"approve,refuse"`
	Comment string    `json:"comment,omitempty"`
}

// NewDecision is what is said of a change.
type NewDecision struct {
	Hash    string `json:"hash" pattern:"^[0-9a-f]{64}$" doc:"The hash of the change that was seen."`
	Comment string `json:"comment,omitempty" maxLength:"2000" doc:"For the requester and for auditors; 500 characters, one line."`
}

// A Withdrawal ends a change before it is decided.
type Withdrawal struct {
	Comment string `json:"comment,omitempty" maxLength:"2000" doc:"For auditors; 500 characters, one line."`
}

// An ApprovalRule says what an act of a kind needs.
type ApprovalRule struct {
	Kind         string         `json:"kind" readOnly:"true" example:"profile.publish"`
	Steps        []ApprovalStep `json:"steps" maxItems:"5" doc:"One after another; none: whoever may do it does it alone."`
	LifeSeconds  int64          `json:"life_seconds,omitzero" minimum:"0" maximum:"7776000" doc:"How long a change waits. Default: seven days."`
	SharePercent *float64       `json:"share_percent,omitempty" minimum:"0" maximum:"100" doc:"Of revocation.run: the share of the certificates in force that a job may change with nobody else, to a hundredth. Default: 1."`
}

// NewApprovalRule is what acts of a kind are to need.
type NewApprovalRule struct {
	Steps        []ApprovalStep `json:"steps" maxItems:"5" doc:"One after another; none: whoever may do it does it alone."`
	LifeSeconds  int64          `json:"life_seconds,omitzero" minimum:"0" maximum:"7776000" doc:"How long a change waits. Default: seven days."`
	SharePercent *float64       `json:"share_percent,omitempty" minimum:"0" maximum:"100" doc:"Of revocation.run: the share of the certificates in force that a job may change with nobody else, to a hundredth. Default: 1."`
}
