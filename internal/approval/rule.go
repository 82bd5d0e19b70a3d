package approval

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/pki"
)

// A Kind is a kind of act that a rule can be about, as its events are called.
type Kind string

// The kinds.
const (
	CreateAuthority  Kind = "authority.create"
	InstallAuthority Kind = "authority.activate"
	ImportRoot       Kind = "authority.import-root"
	RetireAuthority  Kind = "authority.retire"
	RollAuthority    Kind = "authority.rollover" // makes its next issuer
	SwitchAuthority  Kind = "authority.switch"   // to that
	PublishProfile   Kind = "profile.publish"
	ChangeRetention  Kind = "retention.change"
	RaiseQuota       Kind = "quota.raise"
	Lend             Kind = "child.lend"     // to a child tenant, or more than before
	RunRevocation    Kind = "revocation.run" // above a share of the fleet
	RevokeAuthority  Kind = "authority.revoke"
	GiveDecider      Kind = "grant.add"   // of a role that decides on approvals, or manages them; to a trusted authority, as UpdateTrust
	WidenRole        Kind = "role.change" // of one that comes to do so; of one that a trusted authority has, as UpdateTrust
	CreateEndpoint   Kind = "endpoint.create"
	UpdateEndpoint   Kind = "endpoint.update"
	AddTrust         Kind = "trust.add"
	UpdateTrust      Kind = "trust.update"
	RemoveTrust      Kind = "trust.remove"

	// TakeTrusted takes a role from all whom a trusted authority certifies: as UpdateTrust
	// does that takes scopes, it is under the rules for that and for RemoveTrust.
	TakeTrusted Kind = "grant.remove"

	// Enroll and IssueBatch are under the rule of the profile that is enrolled under.
	Enroll     Kind = "enroll"
	IssueBatch Kind = "batch.issue"

	// LoosenRule is under the rule that is to be loosened, whatever that is about.
	LoosenRule Kind = "approval.loosen"
)

// Kinds lists the kinds that a tenant can have rules for.
func Kinds() []Kind {
	return []Kind{CreateAuthority, InstallAuthority, ImportRoot, RetireAuthority, RollAuthority, SwitchAuthority, PublishProfile, ChangeRetention, RaiseQuota, Lend, RunRevocation,
		RevokeAuthority, GiveDecider, WidenRole, CreateEndpoint, UpdateEndpoint, AddTrust, UpdateTrust, RemoveTrust}
}

// everyday are the kinds that need nobody else unless the tenant says so: who may do
// such acts does them as part of their day.
func everyday() []Kind {
	return []Kind{CreateEndpoint, UpdateEndpoint, AddTrust, UpdateTrust, RemoveTrust}
}

// A Step is so many approvals by holders of a role. Steps come one after another.
type Step struct {
	Role access.Role `json:"role"`
	N    int         `json:"n"`
}

// String returns the step for people.
func (s Step) String() string {
	if s.N == 1 {
		return "1 " + string(s.Role)
	}
	return fmt.Sprintf("%d of role %s", s.N, s.Role)
}

// DefaultLife is how long a change waits.
const DefaultLife = 7 * 24 * time.Hour

// The bounds of rules.
const (
	MinLife  = time.Minute
	MaxLife  = 90 * 24 * time.Hour
	MaxSteps = 5
	maxN     = 10
	maxShare = 10_000
)

// A Rule says what an act of a kind needs.
type Rule struct {
	Kind  Kind
	Steps []Step        // none: whoever may do it does it alone
	Life  time.Duration // how long a change waits
	Share int           // of a rule for RunRevocation: how many of 10,000 certificates in force a job may change with nobody else
}

// DefaultShare is the share of a tenant that set none: one in a hundred.
const DefaultShare = 100

// Defaults returns the rules of a tenant that set none: one security officer besides
// whoever asks, and nobody for everyday acts.
func Defaults() []Rule {
	rules := make([]Rule, len(Kinds()))
	for i, k := range Kinds() {
		rules[i] = Rule{Kind: k, Steps: []Step{{access.SecurityOfficer, 1}}, Life: DefaultLife}
		if k == RunRevocation {
			rules[i].Share = DefaultShare
		}
		if slices.Contains(everyday(), k) {
			rules[i].Steps = nil
		}
	}
	return rules
}

// check refuses a rule that nobody could follow or that says nothing.
func (r *Rule) check(own []*access.OwnRole) error {
	if !slices.Contains(Kinds(), r.Kind) {
		return pki.Errorf(pki.Malformed, "kind %.40q: it is one of %v", string(r.Kind), Kinds())
	}
	if r.Life == 0 {
		r.Life = DefaultLife
	}
	if r.Life < MinLife || r.Life > MaxLife || r.Life%time.Second != 0 {
		return pki.Errorf(pki.Malformed, "a change waits for whole seconds, from %s to %d days", MinLife, MaxLife/(24*time.Hour))
	}
	switch {
	case r.Kind != RunRevocation && r.Share != 0:
		return pki.Errorf(pki.Malformed, "a rule for %s has no share: it is about every act of its kind", r.Kind)
	case r.Share < 0 || r.Share > maxShare:
		return pki.Errorf(pki.Malformed, "a share is from 0 to 100 percent")
	}
	return CheckSteps(r.Steps, own)
}

// CheckSteps refuses steps that nobody could follow. own are the roles of the tenant's
// own; nil takes any name for one of those.
func CheckSteps(steps []Step, own []*access.OwnRole) error {
	if len(steps) > MaxSteps {
		return pki.Errorf(pki.Malformed, "%d steps: there are %d at most", len(steps), MaxSteps)
	}
	for _, s := range steps {
		decides := s.Role.Includes(access.DecideApprovals)
		if at := slices.IndexFunc(own, func(r *access.OwnRole) bool { return r.Name == s.Role }); at >= 0 {
			decides = slices.Contains(own[at].Permissions, access.DecideApprovals)
		}
		unknown := own == nil && access.PermissionsOf(s.Role) == nil
		switch {
		case !decides && !unknown:
			return pki.Errorf(pki.Malformed, "a step for the role %.40q: it is for one that there is and that includes %s, as %s", string(s.Role), access.DecideApprovals, access.SecurityOfficer)
		case s.N < 1 || s.N > maxN:
			return pki.Errorf(pki.Malformed, "%d approvals by a %s: from 1 to %d", s.N, s.Role, maxN)
		}
	}
	return nil
}

// Then returns the rule of what needs this rule's steps and, after them, another's; nil is
// a rule that needs nobody. It waits no longer than either does.
func (r *Rule) Then(next *Rule) *Rule {
	if r == nil {
		return next
	}
	if next == nil {
		return r
	}
	both := *r
	both.Steps, both.Life = slices.Concat(r.Steps, next.Steps), min(r.Life, next.Life)
	return &both
}

// Both returns what an act needs that each of two rules is about: the one that wants all
// that the other does, else the steps of both.
func (r Rule) Both(other Rule) Rule {
	switch {
	case !r.Looser(other):
		return r
	case !other.Looser(r):
		return other
	}
	return *r.Then(&other)
}

// And is Then, but for rules that say the same, which are one.
func (r *Rule) And(other *Rule) *Rule {
	if r != nil && other != nil && r.String() == other.String() {
		return r
	}
	return r.Then(other)
}

// Equal reports whether two rules say the same of one kind.
func (r Rule) Equal(other Rule) bool {
	return r.Kind == other.Kind && slices.Equal(r.Steps, other.Steps) && r.Life == other.Life && r.Share == other.Share
}

// Looser reports whether the rule lets something pass that the one before would not:
// unless each step of before is in it, in their order, with as many approvals, and
// no change waits longer, nor may a greater share pass.
func (r Rule) Looser(before Rule) bool {
	rest := r.Steps
	for _, s := range before.Steps {
		at := slices.IndexFunc(rest, func(have Step) bool { return have.Role == s.Role && have.N >= s.N })
		if at < 0 {
			return true
		}
		rest = rest[at+1:]
	}
	return len(before.Steps) > 0 && (r.Life > before.Life || r.Share > before.Share)
}

// String returns the rule for people.
func (r Rule) String() string {
	if len(r.Steps) == 0 {
		return "nobody else"
	}
	text := stepsText(r.Steps) + " within " + pki.FormatDuration(r.Life)
	if r.Kind == RunRevocation {
		text += fmt.Sprintf(", above %g %% of the certificates in force", float64(r.Share)/100)
	}
	return text
}

func stepsText(steps []Step) string {
	texts := make([]string, len(steps))
	for i, s := range steps {
		texts[i] = s.String()
	}
	return strings.Join(texts, ", then ")
}
