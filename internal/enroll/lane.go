package enroll

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/approval"
	"github.com/pando-pki/pando/internal/issuance"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/policy"
)

// laneLife is how long a node may go on with an endpoint as it knows it; a
// change on another node shows after this at the latest.
const laneLife = 2 * time.Second

// A Lane is an endpoint with everything that a request there needs, resolved: it
// is not changed and lives for moments.
type Lane struct {
	Endpoint     pki.Endpoint
	line         *issuance.Line
	profile      *policy.Bound
	organization string
	commonName   string // of a responder or an authority, which no request may name
	protocol     pki.Protocol
	requester    policy.Requester
	networks     []netip.Prefix // of the endpoint
	within       *access.Within // of whoever asks; nil is wherever a device is
	other        *Lane          // of the certificate that is asked for together with this one's; nil for none
}

// label returns the endpoint's label, or "" where there is no endpoint.
func (l *Lane) label() string {
	if l.Endpoint.Name == "" {
		return ""
	}
	return l.Endpoint.Label()
}

// Profile returns the profile version that the lane issues under.
func (l *Lane) Profile() pki.ProfileRef { return l.profile.Ref() }

// Pair returns the endpoint, by its name, and the profile version of the second
// certificate of each device, where the lane is that of a batch of pairs.
func (l *Lane) Pair() (endpoint string, profile pki.ProfileRef) {
	if l.other == nil {
		return "", pki.ProfileRef{}
	}
	return l.other.Endpoint.Name, l.other.Profile()
}

// Authority returns the authority that the lane's certificates come from.
func (l *Lane) Authority() pki.AuthorityID { return l.line.Authority.ID }

// Issuer returns the issuer that the lane's certificates come from at this moment.
func (l *Lane) Issuer() *pki.Issuer { return &l.line.Issuer }

// Approvals returns whose approval each enrolment needs here; nil is nobody's: that which
// the profile wants, and then the endpoint. A pair needs what each of its profiles and
// then each of its endpoints says, once where both say the same.
func (l *Lane) Approvals() *approval.Rule {
	rule := l.profile.Profile().Approvals()
	if l.other != nil {
		rule = rule.And(l.other.profile.Profile().Approvals())
	}
	return rule.Then(l.OwnApprovals())
}

// OwnApprovals returns what the endpoint wants of Approvals, or the endpoints of a pair
// do; nil is nothing.
func (l *Lane) OwnApprovals() *approval.Rule {
	rule := ruleOf(l.Endpoint.Approvals)
	if l.other != nil {
		rule = rule.And(ruleOf(l.other.Endpoint.Approvals))
	}
	return rule
}

// Open returns the lane of an endpoint, named by its label or, within the permit's
// tenant, by its name. The permit is of access.Enroll or access.ManageBatches.
// NotFound where the tenant has no such endpoint, PolicyRefused where the protocol is
// off. Where in the registry something belongs that is enrolled there is still to be
// checked, by Lane.Where.
func (s *Service) Open(ctx context.Context, g access.Permit, endpoint string, protocol pki.Protocol) (*Lane, error) {
	permission := access.Enroll
	if g.CheckSome(permission) != nil {
		permission = access.ManageBatches
	}
	name, err := nameOf(g, endpoint)
	if err != nil {
		return nil, err
	}
	// Before it is looked up: a name outside the scope is not told from none.
	if err := g.CheckToward(permission, access.Scope{Endpoint: name}); err != nil {
		return nil, err
	}
	lane, err := s.lane(ctx, g.Tenant(), name)
	if err != nil {
		return nil, err
	}
	if err := g.CheckToward(permission, lane.Where(pki.Placement{})); err != nil {
		return nil, err
	}
	if len(lane.Endpoint.Protocols) == 0 {
		return nil, pki.Errorf(pki.PolicyRefused, "the endpoint %s is switched off; 'pando endpoint update --protocol' switches it on", lane.Endpoint.Label())
	}
	if !slices.Contains(lane.Endpoint.Protocols, protocol) {
		return nil, pki.Errorf(pki.PolicyRefused, "the endpoint %s does not take %s; switch it on with 'pando endpoint update'", lane.Endpoint.Label(), protocol)
	}
	if err := lane.checkAsker(g); err != nil {
		return nil, err
	}
	opened := *lane
	who := g.Principal()
	opened.within = g.Within(lane.Where(pki.Placement{}))
	opened.protocol, opened.requester = protocol, policy.Requester{ID: who.ID, Name: who.Name, Role: string(g.Role())}
	return &opened, nil
}

// Where returns where something is that is enrolled here with a placement.
func (l *Lane) Where(p pki.Placement) access.Scope {
	where := access.Scope{Endpoint: l.Endpoint.Name, ProductLine: p.ProductLine, Site: p.Site}
	if l.line.Authority.Tenant == l.Endpoint.Tenant { // a scope names the tenant's own
		where.Authority = l.line.Authority.Name
	}
	return where
}

// Complete returns a placement of the permit's tenant with what is known of its lot,
// or an error where nothing can be enrolled there now.
func (s *Service) Complete(ctx context.Context, g access.Permit, p pki.Placement) (pki.Placement, error) {
	return s.cfg.Registry.Complete(ctx, g.Tenant(), p)
}

// OpenBatch returns the lane of an endpoint for a new batch. A batch of pairs names the
// endpoint of the second certificates, too, any other "": a profile with a pair takes
// none but such a batch.
func (s *Service) OpenBatch(ctx context.Context, g access.Permit, endpoint, pair string) (*Lane, error) {
	lane, err := s.Open(ctx, g, endpoint, pki.ProtocolBatch)
	if err != nil {
		return nil, err
	}
	if pair == "" {
		return lane, lane.checkAlone()
	}
	other, err := s.Open(ctx, g, pair, pki.ProtocolBatch)
	if err != nil {
		return nil, err
	}
	return lane, lane.join(other)
}

// A Pinned is an endpoint with the profile version that holds there for a batch,
// whatever the endpoint binds now. The zero one is none.
type Pinned struct {
	Endpoint string
	Profile  pki.ProfileRef
}

// OpenPinned returns the lane of a batch that somebody submitted, and the scopes on which
// the submitter might submit it hold, nil for the whole tenant. Of a batch of pairs, pair
// is where the second certificates come from. The grant is of access.ManageBatches.
func (s *Service) OpenPinned(ctx context.Context, g access.Permit, at, pair Pinned, submitter string, scopes []access.Scope) (*Lane, error) {
	lane, err := s.openPinned(ctx, g, at, submitter, scopes)
	if err != nil || pair == (Pinned{}) {
		return lane, err
	}
	other, err := s.openPinned(ctx, g, pair, submitter, scopes)
	if err != nil {
		return nil, err
	}
	return lane, lane.join(other)
}

func (s *Service) openPinned(ctx context.Context, g access.Permit, at Pinned, submitter string, scopes []access.Scope) (*Lane, error) {
	lane, err := s.Open(ctx, g, at.Endpoint, pki.ProtocolBatch)
	if err != nil {
		return nil, err
	}
	if lane.Endpoint.Profile != at.Profile {
		pinned := lane.Endpoint
		pinned.Profile = at.Profile
		if lane, err = s.resolve(ctx, pinned); err != nil {
			return nil, err
		}
		lane.protocol = pki.ProtocolBatch
	}
	lane.within = access.NewWithin(submitter, access.ManageBatches, lane.Where(pki.Placement{}), scopes)
	lane.requester = policy.Requester{ID: submitter} // the permit is the batch's own
	return lane, nil
}

// nameOf returns the endpoint's name within the permit's tenant.
func nameOf(g access.Permit, endpoint string) (string, error) {
	name := endpoint
	if tenant, rest, label := strings.Cut(endpoint, "."); label {
		if pki.TenantID(tenant) != g.Tenant() {
			return "", pki.Errorf(pki.NotFound, "no endpoint %.90q", endpoint)
		}
		name = rest
	}
	return name, nil
}

func (s *Service) lane(ctx context.Context, tenant pki.TenantID, name string) (*Lane, error) {
	label := string(tenant) + "." + name
	now := s.cfg.Now()
	s.mu.RLock()
	c := s.lanes[label]
	s.mu.RUnlock()
	if c.lane != nil && now.Before(c.until) {
		// The directory forgets an authority at once where it is retired here.
		line, err := s.cfg.Directory.Line(ctx, c.lane.Endpoint.Profile.Tenant, c.lane.Endpoint.Authority)
		if err != nil {
			return nil, err
		}
		if line == c.lane.line {
			return c.lane, nil
		}
	}
	ep, err := s.cfg.Store.Endpoint(ctx, tenant, name)
	if err != nil {
		return nil, err
	}
	lane, err := s.resolve(ctx, *ep)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lanes[label] = cachedLane{lane, now.Add(laneLife)}
	return lane, nil
}

func (s *Service) resolve(ctx context.Context, ep pki.Endpoint) (*Lane, error) {
	line, err := s.cfg.Directory.Line(ctx, ep.Profile.Tenant, ep.Authority) // what is lent is both of the lender
	if err != nil {
		return nil, err
	}
	return s.laneOf(ctx, ep, line)
}

func (s *Service) laneOf(ctx context.Context, ep pki.Endpoint, line *issuance.Line) (*Lane, error) {
	bound, err := s.cfg.Directory.Bound(ctx, ep.Profile, line)
	if err != nil {
		return nil, err
	}
	if err := lent(ep, bound); err != nil {
		return nil, err
	}
	organization, err := s.cfg.Directory.Organization(ctx, ep.Tenant)
	if err != nil {
		return nil, err
	}
	lane := &Lane{Endpoint: ep, line: line, profile: bound, organization: organization}
	for _, text := range ep.Networks {
		network, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, fmt.Errorf("networks of the endpoint %s: %w", ep.Label(), err)
		}
		lane.networks = append(lane.networks, network)
	}
	return lane, nil
}

// lent refuses a version of a lent profile that would not be lent: a loan is of later
// versions, too.
func lent(ep pki.Endpoint, bound *policy.Bound) error {
	if ep.Profile.Tenant == ep.Tenant {
		return nil
	}
	return bound.Profile().CheckLendable()
}

func (s *Service) forget(label string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.lanes, label)
}
