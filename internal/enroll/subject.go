package enroll

import (
	"cmp"
	"context"
	"time"

	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/issuance"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/policy"
	"github.com/pando-pki/pando/internal/tbs"
)

// keyBlocked reports whether the key, or the other one that its secret makes, is on
// the block list.
func (s *Service) keyBlocked(ctx context.Context, key tbs.PublicKey) (bool, error) {
	own, negative := tbs.KeyHashes(key)
	blocked, err := s.cfg.Store.KeyBlocked(ctx, own)
	if blocked || err != nil || negative == own {
		return blocked, err
	}
	return s.cfg.Store.KeyBlocked(ctx, negative)
}

// order decides: it reads the request, checks its proof, its key and all that is
// said of it, and returns what is to be issued. It sets r.Device where the
// request's subject names the device; responders and authorities are none.
func (s *Service) order(ctx context.Context, lane *Lane, r *Subject, now time.Time) (*issuance.Order, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	csr, err := s.requests.Parse(r.CSR)
	if err != nil {
		return nil, err
	}
	if err := csr.CheckProof(); err != nil {
		return nil, err
	}
	blocked, err := s.keyBlocked(ctx, csr.Key)
	if err != nil {
		return nil, err
	}
	if blocked {
		return nil, pki.Errorf(pki.BadKey, "the key is on the block list of keys known to be compromised")
	}
	placement, err := s.cfg.Registry.Complete(ctx, lane.Endpoint.Tenant, r.Placement)
	if err != nil {
		return nil, err
	}
	in := policy.Input{
		CSR: csr, Tenant: lane.Endpoint.Tenant, Organization: lane.organization, Endpoint: lane.label(), Protocol: lane.protocol,
		Device: r.Device, Placement: placement, Requester: lane.requester, CommonName: lane.commonName,
		Names: lane.Endpoint.Names, Attributes: r.Attributes, Now: now,
	}
	profile := lane.profile.Profile()
	if in.Device == "" && lane.commonName == "" {
		in.Device, err = DeviceOf(csr)
		if err != nil && profile.NeedsDevice() {
			return nil, err
		}
		r.Device = in.Device
	}
	if profile.CA() && lane.commonName == "" {
		return nil, pki.Errorf(pki.PolicyRefused, "the profile %s is for authorities, which are not enrolled at endpoints", profile.Name())
	}
	if err := lane.checkAlone(); err != nil {
		return nil, err
	}
	content, err := lane.profile.Content(&in)
	if err != nil {
		return nil, err
	}
	if err := s.cfg.Registry.Admit(ctx, lane.Endpoint.Tenant, in.Device); err != nil {
		return nil, err
	}
	return &issuance.Order{
		Line: lane.line, Profile: lane.profile, Content: content,
		Owner: lane.Endpoint.Tenant, Device: in.Device, Placement: placement, Endpoint: lane.Endpoint.Name, Within: lane.within,
	}, nil
}

func (r *Subject) check() error {
	if r.Device != "" {
		if err := pki.CheckDevice(r.Device); err != nil {
			return err
		}
	}
	if len(r.Attributes) > MaxAttributes {
		return pki.Errorf(pki.Malformed, "%d attributes: at most %d", len(r.Attributes), MaxAttributes)
	}
	for k, v := range r.Attributes {
		if k == "" || len(k) > MaxAttribute || len(v) > MaxAttribute {
			return pki.Errorf(pki.Malformed, "attribute %.40q: name and value have at most %d bytes", k, MaxAttribute)
		}
	}
	return CheckPlacement(r.Placement)
}

// CheckPlacement refuses, as Malformed, names that a placement cannot have.
func CheckPlacement(p pki.Placement) error {
	for _, name := range []string{p.ProductLine, p.Lot, p.Site} {
		if name != "" && pki.CheckDevice(pki.DeviceID(name)) != nil {
			return pki.Errorf(pki.Malformed, "%.40q: product line, lot and site have at most 128 printable ASCII characters", name)
		}
	}
	return nil
}

// DeviceOf returns the device that a request names: the serialNumber of its
// subject, else its common name. What is there and cannot name a device is an
// error as much as nothing: a profile that can do without a device takes both.
func DeviceOf(csr *tbs.CSR) (pki.DeviceID, error) {
	id := pki.DeviceID(cmp.Or(csr.Subject.Get(der.OIDSerialNumber), csr.Subject.Get(der.OIDCommonName)))
	if id == "" {
		return "", pki.Errorf(pki.Malformed, "no device: neither the request nor the serialNumber or CN of its subject names one")
	}
	if err := pki.CheckDevice(id); err != nil {
		return "", err
	}
	return id, nil
}

// prepare decides on the rows of a chunk, all at one time, on the cores that are free
// for it. An error is a fault of ours; what is wrong with a row is its refusal.
func (s *Service) prepare(ctx context.Context, lane *Lane, rows []Row) (items []*issuance.Item, refusals []issuance.Refusal, err error) {
	now, err := s.cfg.CA.Time()
	if err != nil {
		return nil, nil, err
	}
	made := make([]*issuance.Item, len(rows))
	refused := make([]error, len(rows))
	err = s.cfg.CA.Each(len(rows), func(i int) error {
		var err error
		if made[i], err = s.row(ctx, lane.of(rows[i].No), &rows[i], now); err != nil {
			switch pki.KindOf(err) {
			case pki.Internal, pki.Unavailable, pki.NotReady:
				return err
			}
			refused[i] = err
		}
		return nil
	})
	if err == nil && lane.other != nil {
		err = pairRows(rows, made, refused)
	}
	if err != nil {
		return nil, nil, err
	}
	for i, item := range made {
		if item != nil {
			items = append(items, item)
			continue
		}
		refusals = append(refusals, issuance.Refusal{
			Row: rows[i].No, Device: rows[i].Device, Placement: rows[i].Placement, Kind: pki.KindOf(refused[i]), Reason: pki.DetailOf(refused[i]),
		})
	}
	return items, refusals, nil
}

func (s *Service) row(ctx context.Context, lane *Lane, r *Row, now time.Time) (*issuance.Item, error) {
	if r.Problem != "" {
		return nil, pki.Errorf(pki.Malformed, "%s", r.Problem)
	}
	order, err := s.order(ctx, lane, &r.Subject, now)
	if err != nil {
		return nil, err
	}
	order.Row = r.No
	return issuance.Prepare(order, now)
}
