package enroll

import (
	"context"
	"encoding/hex"
	"fmt"
	"strconv"
	"time"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/approval"
	"github.com/pando-pki/pando/internal/issuance"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/policy"
	"github.com/pando-pki/pando/internal/tbs"
)

// enrollChange is what a change of kind approval.Enroll asks for: the request as it
// came, and the profile versions that it was checked under.
type enrollChange struct {
	Endpoint    string            `json:"endpoint"`
	Profile     profileText       `json:"profile"`
	Protocol    pki.Protocol      `json:"protocol"`
	CSR         []byte            `json:"csr"`
	Device      pki.DeviceID      `json:"device,omitzero"`
	ProductLine string            `json:"product_line,omitzero"`
	Lot         string            `json:"lot,omitzero"`
	Site        string            `json:"site,omitzero"`
	Attributes  map[string]string `json:"attributes,omitempty"`
	Idempotency string            `json:"idempotency_key,omitzero"`
	Pair        *pairChange       `json:"pair,omitzero"`
	Renews      bool              `json:"renews,omitzero"`
	Bound       bool              `json:"bound,omitzero"`
	Approvals   string            `json:"approvals,omitzero"` // that the endpoint wants, or those of a pair
	Withheld    *requests         `json:"withheld,omitzero"`  // see approval.Shown
}

// pairChange is the other certificate of a pair.
type pairChange struct {
	Endpoint string      `json:"endpoint"`
	Profile  profileText `json:"profile"`
	CSR      []byte      `json:"csr"`
}

// profileText is a profile version, with the hash of its document.
type profileText struct {
	Tenant  pki.TenantID `json:"tenant"`
	Name    string       `json:"name"`
	Version int          `json:"version"`
	SHA256  string       `json:"sha256"`
}

// approved issues what was approved: the same request, by the same requester, checked
// again from the beginning.
func (s *Service) approved(ctx context.Context, g access.Permit, ch enrollChange) error {
	r := Request{Grant: g, Endpoint: ch.Endpoint, Protocol: ch.Protocol, Idempotency: ch.Idempotency, Renews: ch.Renews, Bound: ch.Bound, Subject: Subject{
		CSR: ch.CSR, Device: ch.Device, Placement: pki.Placement{ProductLine: ch.ProductLine, Lot: ch.Lot, Site: ch.Site}, Attributes: ch.Attributes,
	}}
	if ch.Pair != nil {
		r.Pair = &Pair{Endpoint: ch.Pair.Endpoint, CSR: ch.Pair.CSR}
	}
	if err := s.restore(g.Tenant(), ch.Withheld, &r); err != nil {
		return err
	}
	_, err := s.Enroll(ctx, r)
	return err
}

// approves reports whether a request is about approval: its profile or its endpoint wants
// some, or it is the one that was approved.
func approves(r *Request, lane *Lane) bool {
	return r.Grant.Change().ID != "" || lane.Approvals() != nil
}

// A decided is a request that everything was checked of which can refuse it, but for
// its approval.
type decided struct {
	asked  Request // as it came
	lanes  []*Lane // one, or those of a pair
	orders []*issuance.Order
}

// approve has a request wait where approval is wanted, and returns what the
// same request led to before. Nil lets it go on.
func (s *Service) approve(ctx context.Context, d *decided) (*pki.Enrollment, error) {
	rule := d.lanes[0].Approvals()
	g := d.asked.Grant
	if rule == nil {
		if g.Change().ID != "" {
			return nil, pki.Errorf(pki.Conflict, "the endpoint does not want approval any more: send the request again")
		}
		return nil, nil
	}
	if g.Change().ID == "" {
		got, err := s.before(ctx, d)
		if got != nil || err != nil {
			return got, err
		}
	}
	payload, err := s.payload(ctx, d)
	if err != nil {
		return nil, err
	}
	ended, err := s.cfg.Gate.Ask(ctx, g, approval.Request{
		Kind: approval.Enroll, Target: "endpoint:" + d.lanes[0].Endpoint.Name, Place: d.place(), Summary: d.summary(),
		Payload: payload, Rule: rule, Check: func(ctx context.Context) error { return s.checkRest(ctx, d, rule) },
	})
	switch {
	case err != nil:
		return nil, err
	case ended != nil:
		return s.ended(ctx, d, ended)
	}
	for _, order := range d.orders {
		order.Change = g.Change().ID // of one that the system asks for, none
	}
	return nil, nil
}

// before returns what the request's idempotency key led to when nobody had to approve,
// or by the approval of an earlier one; nil for nothing. A key of another request is
// Conflict.
func (s *Service) before(ctx context.Context, d *decided) (*pki.Enrollment, error) {
	var certificates []approval.Certificate
	for _, order := range d.orders {
		if order.Idempotency == "" {
			return nil, nil
		}
		earlier, request, err := s.cfg.Store.Claimed(ctx, order.Owner, order.Idempotency)
		switch {
		case pki.KindOf(err) == pki.NotFound:
			return nil, nil
		case err != nil:
			return nil, err
		case request != order.RequestHash:
			return nil, issuance.UsedForAnother()
		}
		certificates = append(certificates, approval.Certificate{Issuer: earlier.Issuer, Serial: earlier.Serial})
	}
	got, err := s.issued(ctx, d, certificates)
	if pki.KindOf(err) == pki.NotFound { // it is being issued at this moment, or came to nothing
		return nil, nil
	}
	return got, err
}

// checkRest checks what is left to check before a request waits: what is linted and
// claimed when it is issued.
func (s *Service) checkRest(ctx context.Context, d *decided, rule *approval.Rule) error {
	now, err := s.cfg.CA.Time()
	if err != nil {
		return err
	}
	for i, order := range d.orders {
		item, err := issuance.Prepare(order, now)
		if err == nil {
			err = s.keyFree(ctx, item)
		}
		if err != nil {
			return err
		}
		if err := s.cfg.Gate.CheckSteps(ctx, item.Owner, rule.Steps); err != nil {
			return pki.Because(pki.PolicyRefused, err, "nobody could approve what is enrolled at the endpoint %s: %s", d.lanes[i].Endpoint.Label(), pki.DetailOf(err))
		}
	}
	return nil
}

// payload writes down what is asked for.
func (s *Service) payload(ctx context.Context, d *decided) (*enrollChange, error) {
	var profiles []profileText
	for _, lane := range d.lanes {
		text, err := s.profileText(ctx, lane.Profile())
		if err != nil {
			return nil, err
		}
		profiles = append(profiles, text)
	}
	r := &d.asked
	ch := &enrollChange{
		Endpoint: d.lanes[0].Endpoint.Name, Profile: profiles[0], Protocol: r.Protocol, CSR: r.CSR, Device: r.Device,
		ProductLine: r.Placement.ProductLine, Lot: r.Placement.Lot, Site: r.Placement.Site, Attributes: r.Attributes, Idempotency: r.Idempotency, Renews: r.Renews, Bound: r.Bound,
	}
	if own := d.lanes[0].OwnApprovals(); own != nil {
		ch.Approvals = own.String()
	}
	if r.Pair != nil {
		ch.Pair = &pairChange{Endpoint: d.lanes[1].Endpoint.Name, Profile: profiles[1], CSR: r.Pair.CSR}
	}
	s.withhold(r.Grant.Tenant(), ch)
	return ch, nil
}

func (s *Service) profileText(ctx context.Context, ref pki.ProfileRef) (profileText, error) {
	v, err := s.cfg.Directory.ResolveProfile(ctx, ref)
	if err != nil {
		return profileText{}, err
	}
	return profileText{Tenant: ref.Tenant, Name: ref.Name, Version: ref.Version, SHA256: hex.EncodeToString(v.Hash[:])}, nil
}

// place returns where a request is, which whoever approves it must have in scope: for
// a pair at two endpoints wherever both are.
func (d *decided) place() access.Scope {
	where := d.lanes[0].Where(d.orders[0].Placement)
	for i, lane := range d.lanes[1:] {
		if lane.Where(d.orders[1+i].Placement) != where {
			where.Endpoint = ""
		}
	}
	return where
}

// summary says for people what would be issued.
func (d *decided) summary() string {
	text := ""
	for i, order := range d.orders {
		if i > 0 {
			text += "; and "
		}
		text += describe(d.lanes[i].profile, order)
	}
	return text
}

// namesShown is how many of an order's names a summary says.
const namesShown = 5

// describe says for people what an order is for, quoted: what a request says of itself
// is not to be taken for anything else on their screens.
func describe(profile *policy.Bound, o *issuance.Order) string {
	device := "no device"
	if o.Device != "" {
		device = "device " + strconv.Quote(string(o.Device))
	}
	ref, c := profile.Ref(), o.Content
	text := fmt.Sprintf("a certificate for %s under %s version %d, until %s", device, ref.Name, ref.Version, c.NotAfter.UTC().Format(time.DateOnly))
	if subject, err := tbs.ParseName(c.Subject); err == nil && len(subject) > 0 {
		text += fmt.Sprintf(", subject %.300q", subject)
	}
	names, err := tbs.ParseGeneralNames(c.SAN)
	if err != nil {
		return text // there are none
	}
	for i, n := range names {
		if i == namesShown {
			return text + fmt.Sprintf(" and %d more", len(names)-i)
		}
		shown := n.Text
		if n.Kind == tbs.HardwareModuleName {
			shown = fmt.Sprintf("%s %x", n.HWType, n.HWSerial)
		}
		text += fmt.Sprintf(", name %.100q", shown)
	}
	return text
}

// ended answers a request whose change came to its end.
func (s *Service) ended(ctx context.Context, d *decided, c *approval.Change) (*pki.Enrollment, error) {
	const anew = "; to ask anew, send a request with a new CSR or another idempotency key"
	if c.State == approval.Executed {
		if len(c.Certificates) == 0 {
			return nil, pki.Errorf(pki.Conflict, "this request was issued under an idempotency key that is forgotten by now"+anew)
		}
		if repeats(d.asked.Grant.Principal(), d.asked.Protocol, d.asked.Idempotency) {
			// The change is kept for longer than the idempotency key.
			led := c.Certificates[0]
			answers, err := s.Answers(ctx, led.Issuer, led.Serial)
			if err != nil {
				return nil, err
			}
			if !answers {
				next := d.asked
				next.Idempotency = afresh(next.Idempotency, led.Issuer, led.Serial)
				return s.enroll(ctx, next)
			}
		}
		return s.issued(ctx, d, c.Certificates)
	}
	why := map[approval.State]string{approval.Refused: "was refused", approval.Withdrawn: "was withdrawn",
		approval.Expired: "was not approved in its time", approval.Failed: "was approved, and could not be issued then"}[c.State]
	if c.Outcome != "" {
		why += ": " + c.Outcome
	}
	return nil, pki.Errorf(pki.PolicyRefused, "this request %s (change %s)%s", why, c.ID, anew)
}

// issued returns certificates that a request led to before.
func (s *Service) issued(ctx context.Context, d *decided, certificates []approval.Certificate) (*pki.Enrollment, error) {
	var got *pki.Enrollment
	for i, x := range certificates {
		c, err := s.cfg.Store.Certificate(ctx, d.orders[0].Owner, x.Issuer, x.Serial)
		if err != nil {
			return nil, err
		}
		if i > 0 {
			got.Pair = c
			continue
		}
		if got, err = s.enrollment(ctx, d.lanes[0], c, true); err != nil {
			return nil, err
		}
	}
	return got, nil
}
