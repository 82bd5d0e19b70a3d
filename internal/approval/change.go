// Package approval has acts of weight wait until others have approved them: the
// rules of a tenant, the changes that wait, the decisions on them, and their
// execution, once.
//
// A service that does such an act asks the gate (Service.Pass) after it has checked
// everything and before it stores anything. Where a rule of the tenant is about the
// act, the gate keeps the exact request as a change and returns an error of kind
// pki.Pending. When the last approval comes, the executor of its kind has the same
// service do the same request again, with a permit that carries the change; the
// store moves the change from approved to executed in the transaction of the act,
// so that no act is done twice and none without its change.
//
// It knows no act: what a payload means is its executor's.
package approval

import (
	"crypto/sha256"
	"encoding/binary"
	"time"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/pki"
)

// A State is where a change is.
type State string

// The states. All but the first two are final.
const (
	Pending   State = "pending"   // waits for decisions
	Approved  State = "approved"  // is executed at once, or when what stands in the way is gone
	Executed  State = "executed"  // done
	Refused   State = "refused"   // one who decides said no
	Withdrawn State = "withdrawn" // by the requester, or by who manages approvals
	Expired   State = "expired"   // not decided in its time
	Failed    State = "failed"    // approved, and refused when it was to be executed
)

// States lists the states.
func States() []State {
	return []State{Pending, Approved, Executed, Refused, Withdrawn, Expired, Failed}
}

// A Verdict is what somebody decided.
type Verdict string

// The verdicts.
const (
	Approve Verdict = "approve"
	Refuse  Verdict = "refuse"
)

// A Party is a principal as it is kept with a change.
type Party struct {
	Tenant pki.TenantID // that it belongs to: pki.Platform for an operator of the deployment
	ID     string       // as "token:0abc"
	Name   string       // for people to read
}

func partyOf(p access.Principal) Party { return Party{Tenant: p.Tenant, ID: p.ID, Name: p.Name} }

// String names the party for people.
func (p Party) String() string {
	if p.Name == "" {
		return p.ID
	}
	return p.ID + " (" + p.Name + ")"
}

// A Decision is what one principal said of a change. It is never changed.
type Decision struct {
	Step    int // from 0
	By      Party
	At      time.Time
	Verdict Verdict
	Hash    [32]byte // of what was seen
	Comment string
}

// A Change is an act that waits for approval, or did.
type Change struct {
	ID        pki.ChangeID
	Tenant    pki.TenantID
	Kind      Kind
	Target    string       // what it is about, as "profile:meter"
	Place     access.Scope // where that is, which who decides must have in scope
	Summary   string       // for people, one line
	Payload   []byte       // the exact request, in canonical JSON (RFC 8785); see Shown
	Hash      [32]byte     // see HashOf
	Requester Party
	Created   time.Time
	Expires   time.Time // it is neither decided nor executed from then on
	State     State
	Outcome   string    // why it failed, was refused or withdrawn; "" is unsaid
	Finished  time.Time // when it came to its final state
	Steps     []Step    // as the rule had them when it was requested
	Decisions []Decision

	// Proof is what the requester presented, of one whom a client certificate proves:
	// certificates in DER, one after another. Nil for one who holds a token.
	Proof []byte
	// Certificates are what an executed enrolment led to: one, or those of a pair.
	Certificates []Certificate
}

// A Certificate names a certificate.
type Certificate struct {
	Issuer pki.IssuerID
	Serial pki.Serial
}

// HashOf returns the hash that binds decisions to what they are about: SHA-256 over
// tenant, kind, target and the payload as it is shown, each after its length in 8
// octets.
func HashOf(tenant pki.TenantID, kind Kind, target string, shown []byte) [32]byte {
	h := sha256.New()
	for _, part := range [][]byte{[]byte(tenant), []byte(kind), []byte(target), shown} {
		var length [8]byte
		binary.BigEndian.PutUint64(length[:], uint64(len(part)))
		h.Write(length[:])
		h.Write(part)
	}
	return [32]byte(h.Sum(nil))
}

// intact refuses a change that is not what was requested.
func (c *Change) intact() error {
	if HashOf(c.Tenant, c.Kind, c.Target, Shown(c.Payload)) != c.Hash {
		return pki.Errorf(pki.Conflict, "the change was altered in the store: it does not have the hash that it was requested with")
	}
	return nil
}

// step returns the step that the change waits at, and how many approvals it lacks;
// len(Steps) when it lacks none.
func (c *Change) step() (at, lacks int) {
	for at, s := range c.Steps {
		have := 0
		for _, d := range c.Decisions {
			if d.Step == at && d.Verdict == Approve {
				have++
			}
		}
		if have < s.N {
			return at, s.N - have
		}
	}
	return len(c.Steps), 0
}

// Waits says who must approve next, for people; "" where nobody must.
func (c *Change) Waits() string {
	at, lacks := c.step()
	if c.State != Pending || at == len(c.Steps) {
		return ""
	}
	return Step{Role: c.Steps[at].Role, N: lacks}.String()
}
