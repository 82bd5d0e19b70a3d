package enroll

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"maps"
	"slices"
	"strings"
	"unicode"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/issuance"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/visits"
)

// MaxIdempotency is the longest idempotency key, in bytes.
const MaxIdempotency = 128

// Request asks for one certificate.
type Request struct {
	Grant       access.Permit // of access.Enroll in the endpoint's tenant
	Endpoint    string        // label, or name within the permit's tenant
	Protocol    pki.Protocol
	Idempotency string // "" for none
	Subject
	Pair *Pair // the other certificate of a pair; nil for one alone

	// Renews says that the certificate which the requester proved is renewed: the new
	// one is for its subject, its names and its device, with the same key or another.
	// It alone may have expired, where the profile grants a grace.
	Renews bool

	// MakeKey has the key made here, where the profile says so (RFC 7030, 4.4): the
	// request's own, and its signature, count for nothing then.
	MakeKey KeyDelivery

	// Bound says that the request is bound to the TLS connection that it came by.
	Bound bool
}

// A Subject is what a certificate is asked for: a key, proved by its request,
// and what is said of the device that holds it.
type Subject struct {
	CSR        []byte       // DER
	Device     pki.DeviceID // "" is the serialNumber of the request's subject, else its CN, else none
	Placement  pki.Placement
	Attributes map[string]string // for profiles that name them; at most MaxAttributes
}

// MaxAttributes is the largest number of attributes of a request, and
// MaxAttribute the longest name or value in bytes.
const (
	MaxAttributes = 32
	MaxAttribute  = 256
)

// Enroll issues one certificate, or both of a pair, or refuses. The same request under the same
// idempotency key gets the same certificate; another request under it is
// Conflict. By a protocol whose adapter makes the key of what came, it gets another when
// that has ended, and is refused when it is revoked. A request whose profile wants approval
// is Pending, and is sent again until it is issued or refused: see the package. An error is
// marked as noted (visits.Noted).
func (s *Service) Enroll(ctx context.Context, r Request) (*pki.Enrollment, error) {
	got, err := s.enroll(ctx, r)
	if err != nil && pki.KindOf(err) != pki.Pending {
		s.refused.Add(pki.KindOf(err))
	}
	s.note(ctx, &r, got, err)
	return got, visits.Noted(err)
}

func (s *Service) enroll(ctx context.Context, r Request) (*pki.Enrollment, error) {
	if err := r.Grant.CheckSome(access.Enroll); err != nil {
		return nil, err
	}
	key, err := idempotencyKey(r.Grant.Principal(), r.Protocol, r.Idempotency)
	if err != nil {
		return nil, err
	}
	lane, err := s.Open(ctx, r.Grant, r.Endpoint, r.Protocol)
	if err != nil {
		return nil, err
	}
	if r.Grant.Change().ID == "" { // what was approved is that, under its key
		now, err := s.latest(ctx, lane.Endpoint.Tenant, r.Grant.Principal(), r.Protocol, r.Idempotency)
		if err != nil {
			return nil, err
		}
		r.Idempotency, key = now.idempotency, now.key
	}
	asked := r // as it came: what is known of the device is added below
	if err := s.checkSubject(ctx, r.Grant, lane, &r.Subject); err != nil {
		return nil, err
	}
	if lane.profile.Profile().Bound() && !r.Bound {
		return nil, pki.Errorf(pki.PolicyRefused, "the profile %s wants requests that are bound to their TLS connection: send by EST, in the challengePassword, the base64 of tls-unique or tls-exporter", lane.profile.Profile().Name())
	}
	if err := s.checkRenewal(lane, &r); err != nil {
		return nil, err
	}
	if err := s.checkPlace(ctx, r.Grant, lane, &r.Subject); err != nil {
		return nil, err
	}
	if r.MakeKey != OwnKey {
		return s.enrollMade(ctx, lane, &r, key)
	}
	if r.Pair != nil {
		return s.enrollPair(ctx, lane, &r, asked, key)
	}
	order, err := s.decideAt(ctx, lane, r.Subject, r.Grant.Actor(), key)
	if err != nil {
		return nil, err
	}
	if r.Renews && order.Device != r.Grant.Principal().Certificate.Device {
		return nil, pki.Errorf(pki.PolicyRefused, "the certificate that is renewed is not that of the device %.130q", order.Device)
	}
	if approves(&r, lane) {
		d := decided{asked, []*Lane{lane}, []*issuance.Order{order}}
		if got, err := s.approve(ctx, &d); got != nil || err != nil {
			return got, err
		}
	}
	return s.issue(ctx, lane, order)
}

// checkPlace refuses what is enrolled outside of a permit.
func (s *Service) checkPlace(ctx context.Context, g access.Permit, lane *Lane, r *Subject) (err error) {
	if g.Covers(lane.Where(pki.Placement{})) {
		return nil
	}
	r.Placement, err = s.CheckSubject(ctx, g, access.Enroll, lane.Where(pki.Placement{}), *r)
	return err
}

// CheckSubject refuses a certificate that is outside of a permit which is not good for
// wherever a device may be: at a place in the registry beside what where says, and for
// a device that is somewhere else. It returns the placement with what is known of the
// device and of the lot: with it, what was checked holds whatever becomes of the lot
// before the certificate is issued.
func (s *Service) CheckSubject(ctx context.Context, g access.Permit, permission access.Permission, where access.Scope, r Subject) (pki.Placement, error) {
	if err := r.check(); err != nil {
		return r.Placement, err
	}
	device := r.Device
	if device == "" {
		csr, err := s.requests.Parse(r.CSR)
		if err != nil {
			return r.Placement, err
		}
		if device, err = DeviceOf(csr); err != nil {
			device = "" // a profile that needs one refuses the request
		}
	}
	whole, err := s.Complete(ctx, g, r.Placement)
	if err != nil {
		return r.Placement, err
	}
	if device != "" {
		is, known, err := s.cfg.Registry.Where(ctx, g.Tenant(), device)
		if err != nil {
			return r.Placement, err
		}
		if known {
			if whole == (pki.Placement{}) {
				whole = is
			}
			if err := g.CheckAt(permission, at(where, is)); err != nil {
				return r.Placement, err
			}
		}
	}
	return whole, g.CheckAt(permission, at(where, whole))
}

// checkWithin refuses an item whose device is outside of where its batch's submitter may
// enrol by now, as the intent does.
func (s *Service) checkWithin(ctx context.Context, item *issuance.Item) error {
	if item.Within == nil || item.Device == "" {
		return nil
	}
	is, known, err := s.cfg.Registry.Where(ctx, item.Owner, item.Device)
	if err != nil || !known {
		return err
	}
	return item.Within.CheckAt(is)
}

func at(where access.Scope, p pki.Placement) access.Scope {
	where.ProductLine, where.Site = p.ProductLine, p.Site
	return where
}

// idempotencyKey returns the key under which a request is stored. The keys of each
// device are apart from those of its tenant and of other devices: a device that guessed
// what key the maker's server will use would have that server's request refused. Those
// that an adapter makes for its clients are apart from what clients of REST choose.
func idempotencyKey(who access.Principal, protocol pki.Protocol, key string) (string, error) {
	switch once := who.Once; {
	case once != "":
		return once, nil
	case len(key) > MaxIdempotency:
		return "", pki.Errorf(pki.Malformed, "the idempotency key is longer than %d bytes", MaxIdempotency)
	case strings.ContainsFunc(key, unicode.IsControl):
		return "", pki.Errorf(pki.Malformed, "the idempotency key has a control character")
	case key == "":
		return "", nil
	}
	space := string(protocol)
	if protocol == pki.ProtocolREST {
		if who.Device == "" {
			return key, nil
		}
		space = "device"
	}
	h := sha256.New()
	part(h, string(who.Device))
	part(h, key)
	return space + "\n" + hex.EncodeToString(h.Sum(nil)), nil // no key that is sent has a control character
}

// Issued returns the certificate that an idempotency key of a device's, "" for none, led to
// by a protocol whose adapter makes the keys, or NotFound; one that has ended is none, since
// the same request would get another. It needs access.Enroll.
func (s *Service) Issued(ctx context.Context, g access.Permit, protocol pki.Protocol, device pki.DeviceID, idempotency string) (*pki.Certificate, error) {
	if err := g.Check(access.Enroll); err != nil {
		return nil, err
	}
	now, err := s.latest(ctx, g.Tenant(), access.Principal{Device: device}, protocol, idempotency)
	switch {
	case now.led != nil: // revoked or not
		return s.cfg.Store.Certificate(ctx, g.Tenant(), now.led.Issuer, now.led.Serial)
	case err != nil:
		return nil, err
	}
	return nil, pki.Errorf(pki.NotFound, "nothing was issued under this idempotency key")
}

// decideAt decides on a single request, with what it claims.
func (s *Service) decideAt(ctx context.Context, lane *Lane, subject Subject, actor, idempotency string) (*issuance.Order, error) {
	order, err := s.decide(ctx, lane, &subject)
	if err != nil {
		return nil, err
	}
	order.Request, order.Actor = subject.CSR, actor
	if idempotency != "" {
		order.Idempotency, order.RequestHash = idempotency, requestHash(lane.Endpoint, subject)
	}
	return order, nil
}

func (s *Service) issue(ctx context.Context, lane *Lane, order *issuance.Order) (*pki.Enrollment, error) {
	c, repeated, err := s.cfg.CA.Issue(ctx, order)
	if err != nil {
		return nil, err
	}
	return s.enrollment(ctx, lane, c, repeated)
}

// enrollment returns a certificate with its chain.
func (s *Service) enrollment(ctx context.Context, lane *Lane, c *pki.Certificate, repeated bool) (*pki.Enrollment, error) {
	chain := lane.line.Chain
	if c.Issuer != lane.line.Issuer.ID { // an earlier answer, from an earlier issuer
		whole, err := s.cfg.Directory.Chain(ctx, c.Issuer)
		if err != nil {
			return nil, err
		}
		chain = whole[:len(whole)-1]
	}
	return &pki.Enrollment{Certificate: c, Chain: chain, Repeated: repeated}, nil
}

// decide is order for a single request, which others wait for to share a commit.
func (s *Service) decide(ctx context.Context, lane *Lane, r *Subject) (*issuance.Order, error) {
	defer s.cfg.CA.Coming()()
	now, err := s.cfg.CA.Time()
	if err != nil {
		return nil, err
	}
	return s.order(ctx, lane, r, now)
}

// requestHash is what must be equal when a request comes again under its key.
// Every part is preceded by its length, so that no two requests run together.
func requestHash(ep pki.Endpoint, r Subject) (sum [32]byte) {
	h := sha256.New()
	part(h, ep.Label())
	part(h, string(r.CSR))
	for _, s := range []string{string(r.Device), r.Placement.ProductLine, r.Placement.Lot, r.Placement.Site} {
		part(h, s)
	}
	for _, k := range slices.Sorted(maps.Keys(r.Attributes)) {
		part(h, k)
		part(h, r.Attributes[k])
	}
	h.Sum(sum[:0])
	return sum
}

func part(h hash.Hash, s string) {
	var n [8]byte
	binary.BigEndian.PutUint64(n[:], uint64(len(s)))
	h.Write(n[:])
	h.Write([]byte(s))
}

// Chunk is a part of a batch to issue at once.
type Chunk struct {
	Batch pki.BatchID
	No    int
	Rows  []Row
}

// A Row is one row of a batch.
type Row struct {
	No      int64  // from 1
	Problem string // why it cannot be read; then Subject is empty
	Subject
}

// IssueChunk issues the rows of a chunk under the lane's endpoint and stores
// which were refused and why. See issuance.Service.IssueChunk for its errors.
func (s *Service) IssueChunk(ctx context.Context, lane *Lane, c Chunk) error {
	items, refusals, err := s.prepare(ctx, lane, c.Rows)
	if err != nil {
		return err
	}
	return s.cfg.CA.IssueChunk(ctx, lane.line, c.Batch, c.No, items, refusals)
}

// CheckChunk does everything that IssueChunk does before an intent, and returns
// what would be refused. seen tells rows of one batch with one key or
// one device apart.
func (s *Service) CheckChunk(ctx context.Context, lane *Lane, c Chunk, seen *Seen) ([]issuance.Refusal, error) {
	items, refusals, err := s.prepare(ctx, lane, c.Rows)
	if err != nil {
		return nil, err
	}
	for _, item := range items {
		if item.Refused, err = s.checkFree(ctx, item, seen); err != nil {
			return nil, err
		}
		switch {
		case item.With == nil:
		case item.Row%2 == 1: // the second of the pair is next
			continue
		default:
			both := issuance.RefuseBoth([2]error{item.With.Refused, item.Refused}, [2]int64{item.With.Row, item.Row})
			item.With.Refused, item.Refused = both[0], both[1]
			refusals = seen.settle(item.With, refusals)
		}
		refusals = seen.settle(item, refusals)
	}
	return refusals, nil
}

// checkFree returns why issuing would refuse an item as the store is now, and for what
// was seen before it; nil where nothing would.
func (s *Service) checkFree(ctx context.Context, item *issuance.Item, seen *Seen) (refused, err error) {
	if refused = s.checkWithin(ctx, item); refused == nil {
		refused = s.keyFree(ctx, item)
	}
	if refused == nil {
		refused = seen.check(item)
	}
	switch pki.KindOf(refused) {
	case pki.DuplicateKey, pki.Conflict, pki.Forbidden:
		return refused, nil
	}
	return nil, refused
}
