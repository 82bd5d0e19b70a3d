package enroll

import (
	"context"
	"net/netip"
	"slices"
	"strings"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/tbs"
)

// checkAsker refuses whoever did not prove themselves as the endpoint wants, or asks from
// where it takes no requests. Pando itself proves nothing, and what was approved was
// checked when it was asked for.
func (l *Lane) checkAsker(g access.Permit) error {
	who := g.Principal()
	if who.System() || g.Change().ID != "" {
		return nil
	}
	label := l.Endpoint.Label()
	if err := l.checkSource(who.Source); err != nil {
		return err
	}
	auth := l.Endpoint.Auth
	if len(auth) > 0 && !slices.ContainsFunc(auth, who.Proofs.Has) {
		given := who.Proofs.String()
		if given == "" {
			given = "nothing"
		}
		return pki.Errorf(pki.Unauthenticated, "the endpoint %s wants proof by %s; this came with %s", label, pki.ProofsText(auth), given)
	}
	return nil
}

// checkSource refuses requests from where the endpoint takes none.
func (l *Lane) checkSource(source netip.Addr) error {
	from := source.Unmap().WithZone("")
	if len(l.networks) > 0 && !slices.ContainsFunc(l.networks, func(n netip.Prefix) bool { return n.Contains(from) }) {
		return access.Refuse(access.Enroll, l.Where(pki.Placement{}), "the endpoint %s takes no requests from %s: it is not in its networks", l.Endpoint.Label(), from)
	}
	return nil
}

// Admit refuses requests to an endpoint, by its label, from where it takes none. remote is
// the address and port that one came from, as net/http has it. Adapters ask before they look
// at anything that a request brings; enrolling asks again. What is no endpoint is let
// through: what comes next says so, as ever.
func (s *Service) Admit(ctx context.Context, label, remote string) error {
	tenant, name, _ := strings.Cut(label, ".")
	lane, err := s.lane(ctx, pki.TenantID(tenant), name)
	if err != nil || len(lane.networks) == 0 {
		return nil
	}
	from, _ := netip.ParseAddrPort(remote) // what cannot be read is from nowhere
	return lane.checkSource(from.Addr())
}

// checkSubject refuses what a request asks for beyond what its proof is for.
func (s *Service) checkSubject(ctx context.Context, g access.Permit, lane *Lane, r *Subject) error {
	who := g.Principal()
	if who.Device != "" {
		if err := ofItself(g, lane, r); err != nil {
			return err
		}
	}
	if who.CSRSubject != "" {
		if err := s.ofSubject(who, lane, r); err != nil {
			return err
		}
	}
	if !who.Foreign {
		return nil
	}
	_, known, err := s.cfg.Registry.Where(ctx, g.Tenant(), who.Device)
	if err == nil && !known {
		err = pki.Errorf(pki.PolicyRefused, "the device %q is not in the registry, and its certificate is another's: make it known first, with 'pando device import'", who.Device)
	}
	return err
}

// ofSubject refuses what a request asks for beyond the subject that its proof is for. The
// device is the one that the subject names: names are those that its id makes, or the id
// itself, as a server's. Where a certificate proves the device, it is the same.
func (s *Service) ofSubject(who access.Principal, lane *Lane, r *Subject) error {
	where := lane.Where(pki.Placement{})
	csr, err := s.requests.Parse(r.CSR)
	if err != nil {
		return err
	}
	if got := csr.Subject.String(); got != who.CSRSubject {
		return access.Refuse(access.Enroll, where, "this proof is for the subject %.300q, and the request has %.300q", who.CSRSubject, got)
	}
	device, err := DeviceOf(csr)
	switch {
	case who.Device != "" && who.Proofs.Has(pki.ByCertificate) && device != who.Device:
		return access.Refuse(access.Enroll, where, "the secret's subject names the device %q, and the client certificate is of %q: present that of the device which the secret is for", device, who.Device)
	case who.Device != "": // ofItself looked at the names
		return nil
	case err != nil && len(csr.Names) > 0:
		return access.Refuse(access.Enroll, where, "the secret's subject names no device, by serialNumber or CN, so that no name is its own: leave names out, or have somebody enrol it who may")
	}
	who.Device = device
	names := slices.DeleteFunc(slices.Clone(csr.Names), func(n tbs.GeneralName) bool {
		return n.Kind == tbs.DNSName && strings.EqualFold(n.Text, string(device))
	})
	return ownNames(who, where, lane.Endpoint.Names, names)
}

// maxNetworks bounds the networks of an endpoint.
const maxNetworks = 100

// checkNetworks returns networks as they are kept: a single address as the prefix of
// all its bits, and no bits beyond a prefix.
func checkNetworks(networks []string) ([]string, error) {
	if len(networks) > maxNetworks {
		return nil, pki.Errorf(pki.Malformed, "an endpoint has at most %d networks", maxNetworks)
	}
	kept := make([]string, 0, len(networks))
	for _, text := range networks {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			var single netip.Addr
			if single, err = netip.ParseAddr(text); err == nil && single.Zone() == "" {
				prefix = netip.PrefixFrom(single, single.BitLen())
			}
		}
		if err != nil || !prefix.IsValid() || prefix.Addr().Is4In6() {
			return nil, pki.Errorf(pki.Malformed, "network %.60q: write a prefix, as 10.0.0.0/8 or 2001:db8::/32, or one address", text)
		}
		kept = append(kept, prefix.Masked().String())
	}
	slices.Sort(kept)
	return slices.Compact(kept), nil
}

// maxAuth bounds the alternatives of proofs of an endpoint: there are seven.
const maxAuth = 7

// checkAuth returns alternatives of proofs as they are kept.
func checkAuth(auth []pki.Proofs) ([]pki.Proofs, error) {
	kept := slices.Compact(slices.Sorted(slices.Values(auth)))
	if len(kept) > maxAuth || slices.Contains(kept, 0) {
		return nil, pki.Errorf(pki.Malformed, "a proof is certificate, secret or token, or several joined by +, each alternative once")
	}
	for _, p := range kept {
		if p.Has(pki.BySecret | pki.ByToken) {
			return nil, pki.Errorf(pki.Malformed, "the proof %s: one request carries a secret or a token, not both", p)
		}
	}
	return kept, nil
}
