package enroll

import (
	"context"
	"fmt"
	"slices"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/approval"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/policy"
	"github.com/pando-pki/pando/internal/quota"
)

// NewEndpoint is an endpoint to create, or what to change of one.
type NewEndpoint struct {
	Name      string
	Loan      string         // of its parent's, in the place of authority and profile; cannot be changed
	Authority string         // name or id; cannot be changed
	Profile   string         // name; "" with an update leaves it
	Version   int            // 0 is the latest
	Protocols []pki.Protocol // nil with an update leaves them; none switches the endpoint off
	Names     *pki.Names     // nil with an update leaves them
	Auth      []pki.Proofs   // nil with an update leaves them; none is any one proof
	Networks  []string       // nil with an update leaves them; none is from anywhere
	Validator *string        // nil with an update leaves it; "" is none
	Approvals *pki.Approvals // nil with an update leaves them; no steps is nobody's
	Quota     *int64         // how many certificates there may be by it; nil leaves what there is
}

// CreateEndpoint makes an endpoint. It binds one version of its profile: a later
// version comes in with UpdateEndpoint only. It needs access.ManageEndpoints.
func (s *Service) CreateEndpoint(ctx context.Context, g access.Permit, n NewEndpoint) (*pki.Endpoint, error) {
	if err := g.CheckSome(access.ManageEndpoints); err != nil {
		return nil, err
	}
	if err := pki.CheckSlug("endpoint", n.Name); err != nil {
		return nil, err
	}
	ep := &pki.Endpoint{Tenant: g.Tenant(), Name: n.Name, Created: s.cfg.Now().UTC()}
	if err := s.bind(ctx, ep, &n); err != nil {
		return nil, err
	}
	if err := s.checkEndpoint(ctx, g, access.ManageEndpoints, n.Name, ep.Authority); err != nil {
		return nil, err
	}
	if n.Protocols == nil {
		n.Protocols = []pki.Protocol{pki.ProtocolREST, pki.ProtocolBatch}
	}
	if err := s.apply(ctx, ep, n); err != nil {
		return nil, err
	}
	if _, err := s.cfg.Store.Endpoint(ctx, g.Tenant(), n.Name); err == nil {
		return nil, pki.Errorf(pki.Conflict, "there is an endpoint %q already", n.Name)
	} else if pki.KindOf(err) != pki.NotFound {
		return nil, err
	}
	limit, err := s.limit(g, ep, n.Quota)
	if err != nil {
		return nil, err
	}
	if err := s.pass(ctx, g, approval.CreateEndpoint, n.Loan, nil, ep); err != nil {
		return nil, err
	}
	return ep, s.cfg.Store.PutEndpoint(ctx, ep, limit, s.event(g, "endpoint.create", ep))
}

// bind sets the authority of a new endpoint: the tenant's own, or with a loan that of
// its parent, whose profile it is then.
func (s *Service) bind(ctx context.Context, ep *pki.Endpoint, n *NewEndpoint) error {
	if n.Loan == "" {
		authority, err := s.cfg.Directory.FindAuthority(ctx, ep.Tenant, n.Authority)
		ep.Authority, ep.Profile.Tenant = authority, ep.Tenant
		return err
	}
	if n.Authority != "" || n.Profile != "" {
		return pki.Errorf(pki.Malformed, "a loan says which authority and which profile: leave them out")
	}
	l, err := s.cfg.Directory.Loan(ctx, ep.Tenant, n.Loan)
	if err != nil {
		return err
	}
	ep.Authority, ep.Profile.Tenant, ep.Profile.Name, n.Profile = l.Authority, l.Parent, l.Profile, l.Profile
	return nil
}

// UpdateEndpoint changes the profile, the protocols, the names, the proofs, the networks,
// the validator, the approvals or the quota of an endpoint, which it does not raise.
// An update that says nothing is Malformed; one that says what is so already
// leaves no event. It needs access.ManageEndpoints.
func (s *Service) UpdateEndpoint(ctx context.Context, g access.Permit, n NewEndpoint) (*pki.Endpoint, error) {
	ep, err := s.endpoint(ctx, g, access.ManageEndpoints, n.Name)
	if err != nil {
		return nil, err
	}
	if n.Profile == "" && n.Version == 0 && n.Protocols == nil && n.Names == nil && n.Auth == nil && n.Networks == nil && n.Validator == nil && n.Approvals == nil && n.Quota == nil {
		return nil, pki.Errorf(pki.Malformed, "an update says what is to change: the profile, its version, the protocols, the names, the proofs, the networks, the validator, the approvals or the quota")
	}
	before := *ep
	off := n.Protocols != nil && len(n.Protocols) == 0 && n.Profile == "" && n.Version == 0 && n.Names == nil && n.Auth == nil && n.Networks == nil && n.Validator == nil && n.Approvals == nil
	if n.Profile == "" {
		n.Profile = ep.Profile.Name
		if n.Version == 0 {
			n.Version = ep.Profile.Version
		}
	}
	if off { // whatever has become of its authority, profile or loan
		ep.Protocols = nil
	} else if err := s.apply(ctx, ep, n); err != nil {
		return nil, err
	}
	limit, err := s.limit(g, ep, n.Quota)
	if err != nil {
		return nil, err
	}
	if limit == nil && before.Profile == ep.Profile && slices.Equal(before.Protocols, ep.Protocols) && sameNames(before.Names, ep.Names) &&
		slices.Equal(before.Auth, ep.Auth) && slices.Equal(before.Networks, ep.Networks) && before.Validator == ep.Validator && sameApprovals(before.Approvals, ep.Approvals) {
		return ep, nil
	}
	if err := s.pass(ctx, g, approval.UpdateEndpoint, "", &before, ep); err != nil {
		return nil, err
	}
	defer s.forget(ep.Label())
	return ep, s.cfg.Store.UpdateEndpoint(ctx, &before, ep, limit, s.event(g, "endpoint.update", ep))
}

func sameNames(a, b pki.Names) bool {
	return slices.Equal(a.DNS, b.DNS) && slices.Equal(a.IP, b.IP) && slices.Equal(a.URI, b.URI)
}

// limit sets the quota of an endpoint, and returns it where it is not as it was. A raise is
// refused: quota.Service has it wait for approval, and what approves an endpoint is another
// rule.
func (s *Service) limit(g access.Permit, ep *pki.Endpoint, to *int64) (*quota.Quota, error) {
	before := ep.Quota
	if to == nil || before != nil && *before == *to {
		return nil, nil
	}
	q := &quota.Quota{Tenant: ep.Tenant, Target: quota.Target{Kind: quota.Endpoint, Name: ep.Name}, Limit: *to, Actor: g.Actor(), Changed: s.cfg.Now().UTC()}
	switch {
	case q.Limit < 0 || q.Limit > quota.MaxLimit:
		return nil, pki.Errorf(pki.Malformed, "a limit is from 0 to %d", int64(quota.MaxLimit))
	case before != nil && *before < q.Limit:
		return nil, pki.Errorf(pki.Conflict, "the quota for %s is %d, and an update of the endpoint does not raise it to %d: raise it with 'pando quota set'", q.Target, *before, q.Limit)
	}
	sets, err := g.Principal().Authorize(access.ManageQuotas, q.Tenant)
	if err != nil {
		return nil, err
	}
	ep.Quota = to
	return q, sets.Check(access.ManageQuotas)
}

// apply sets what n says, and checks that the authority can issue the profile.
func (s *Service) apply(ctx context.Context, ep *pki.Endpoint, n NewEndpoint) error {
	if ep.Profile.Tenant != ep.Tenant && n.Profile != ep.Profile.Name {
		return pki.Errorf(pki.PolicyRefused, "the endpoint is of a loan, which is for the profile %s: make another endpoint for another", ep.Profile.Name)
	}
	version, err := s.cfg.Directory.ResolveProfile(ctx, pki.ProfileRef{Tenant: ep.Profile.Tenant, Name: n.Profile, Version: n.Version})
	if err != nil {
		return err
	}
	if ep.Profile.Tenant != ep.Tenant && version.Version != ep.Profile.Version {
		if err := s.checkLent(ctx, ep, version.Version); err != nil {
			return err
		}
	}
	ep.Profile = version.ProfileRef
	for _, p := range n.Protocols {
		if !slices.Contains(pki.Protocols(), p) {
			return pki.Errorf(pki.Malformed, "protocol %.20q: it is one of %v", p, pki.Protocols())
		}
	}
	if n.Protocols != nil {
		ep.Protocols = slices.Compact(slices.Sorted(slices.Values(n.Protocols)))
	}
	if slices.Contains(ep.Protocols, pki.ProtocolSCEPLegacy) && !slices.Contains(ep.Protocols, pki.ProtocolSCEP) {
		return pki.Errorf(pki.Malformed, "the protocol %s is what %s takes beside its own: switch both on", pki.ProtocolSCEPLegacy, pki.ProtocolSCEP)
	}
	if slices.Contains(ep.Protocols, pki.ProtocolSCEP) {
		if err := s.checkSCEP(ctx, ep.Profile.Tenant); err != nil {
			return err
		}
	}
	if n.Names != nil {
		if err := checkNames(*n.Names); err != nil {
			return err
		}
		ep.Names = *n.Names
	}
	if n.Auth != nil {
		if ep.Auth, err = checkAuth(n.Auth); err != nil {
			return err
		}
	}
	if n.Networks != nil {
		if ep.Networks, err = checkNetworks(n.Networks); err != nil {
			return err
		}
	}
	if n.Validator != nil {
		ep.Validator = *n.Validator
	}
	if n.Validator != nil && *n.Validator != "" {
		if err := s.cfg.Validators.Check(ep.Tenant, ep.Validator); err != nil {
			return err
		}
	}
	line, err := s.cfg.Directory.Line(ctx, ep.Profile.Tenant, ep.Authority)
	if err != nil {
		return err
	}
	bound, err := s.cfg.Directory.Bound(ctx, ep.Profile, line)
	if err == nil {
		err = lent(*ep, bound)
	}
	if err == nil {
		err = s.applyApprovals(ctx, ep, n.Approvals, bound.Profile())
	}
	if err == nil && bound.Profile().CA() {
		err = pki.Errorf(pki.PolicyRefused, "the profile %s is for authorities, which are not enrolled at endpoints", n.Profile)
	}
	if err == nil && bound.Profile().SignsOCSP() {
		err = pki.Errorf(pki.PolicyRefused, "the profile %s is for OCSP responders, which the server enrols itself: whoever had one could deny every revocation", n.Profile)
	}
	return err
}

// checkSCEP refuses to take SCEP where the tenant of the authority has not said what the
// server's keys for it are to be.
func (s *Service) checkSCEP(ctx context.Context, tenant pki.TenantID) error {
	for _, name := range []string{policy.SCEPSignerProfile, policy.SCEPRecipientProfile} {
		_, err := s.cfg.Directory.ResolveProfile(ctx, pki.ProfileRef{Tenant: tenant, Name: name})
		if pki.KindOf(err) == pki.NotFound {
			return pki.Errorf(pki.NotReady, "publish a profile named %s first: the server's keys for SCEP need it ('pando profile packs common %s' prints one)", name, name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// checkLent refuses a version of a lent profile that is older than what was lent: whoever
// lends a later one has mended the earlier.
func (s *Service) checkLent(ctx context.Context, ep *pki.Endpoint, version int) error {
	l, err := s.cfg.Directory.LoanOf(ctx, ep.Tenant, ep.Authority, ep.Profile.Name)
	if err == nil && version < l.Version {
		err = pki.Errorf(pki.PolicyRefused, "the loan %s is of the profile %s from version %d on, and not of version %d", l.Name, l.Profile, l.Version, version)
	}
	return err
}

// maxNames bounds the names of an endpoint.
const maxNames = 200

func checkNames(n pki.Names) error {
	if len(n.DNS)+len(n.IP)+len(n.URI) > maxNames {
		return pki.Errorf(pki.Malformed, "an endpoint authorises at most %d names", maxNames)
	}
	return policy.CheckNames(n)
}

// Endpoint returns an endpoint of the permit's tenant. It needs
// access.ReadConfiguration.
func (s *Service) Endpoint(ctx context.Context, g access.Permit, endpoint string) (*pki.Endpoint, error) {
	name, err := nameOf(g, endpoint)
	if err != nil {
		return nil, err
	}
	return s.endpoint(ctx, g, access.ReadConfiguration, name)
}

// endpoint returns an endpoint that is within a permit.
func (s *Service) endpoint(ctx context.Context, g access.Permit, permission access.Permission, name string) (*pki.Endpoint, error) {
	// Before it is looked up: a name outside the scope is not told from none.
	if err := g.CheckToward(permission, access.Scope{Endpoint: name}); err != nil {
		return nil, err
	}
	ep, err := s.cfg.Store.Endpoint(ctx, g.Tenant(), name)
	if err != nil {
		return nil, err
	}
	return ep, s.checkEndpoint(ctx, g, permission, ep.Name, ep.Authority)
}

// checkEndpoint reports whether an endpoint of an authority is within a permit.
func (s *Service) checkEndpoint(ctx context.Context, g access.Permit, permission access.Permission, name string, authority pki.AuthorityID) error {
	if g.Whole() {
		return g.Check(permission)
	}
	authorityName, err := s.cfg.Store.AuthorityName(ctx, g.Tenant(), authority)
	if err != nil {
		return err
	}
	return g.CheckAt(permission, access.Scope{Endpoint: name, Authority: authorityName})
}

// Endpoints returns the endpoints of the permit's tenant that are in its scope. It
// needs access.ReadConfiguration.
func (s *Service) Endpoints(ctx context.Context, g access.Permit) ([]*pki.Endpoint, error) {
	if err := g.CheckSome(access.ReadConfiguration); err != nil {
		return nil, err
	}
	all, err := s.cfg.Store.Endpoints(ctx, g.Tenant())
	if err != nil {
		return nil, err
	}
	var seen []*pki.Endpoint
	for _, ep := range all {
		err := s.checkEndpoint(ctx, g, access.ReadConfiguration, ep.Name, ep.Authority)
		if err != nil && pki.KindOf(err) != pki.Forbidden {
			return nil, err
		}
		if err == nil {
			seen = append(seen, ep)
		}
	}
	return seen, nil
}

func (s *Service) event(g access.Permit, action string, ep *pki.Endpoint) pki.Event {
	return pki.Event{
		Tenant: g.Tenant(), At: s.cfg.Now().UTC(), Actor: g.Actor(), Action: action, Target: "endpoint:" + ep.Name,
		Detail: fmt.Sprintf("authority %s, %s", ep.Authority, says(ep)),
		Change: g.Change().ID,
	}
}
