package lotreport

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/keystore"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/registry"
	"github.com/pando-pki/pando/internal/signer"
	"github.com/pando-pki/pando/internal/stat"
	"github.com/pando-pki/pando/internal/tbs"
)

// A Signer makes keys and signs with them; signer.Signer is one.
type Signer interface {
	Generate(ctx context.Context, scheme string, tenant pki.TenantID, kind pki.KeyKind, use keystore.Use) (pki.KeyURI, error)
	Public(ctx context.Context, uri pki.KeyURI) (key tbs.PublicKey, hardware bool, err error)
	Sign(ctx context.Context, uri pki.KeyURI, purpose signer.Purpose, message []byte, check bool) ([]byte, error)
}

// A Closing is how a lot was closed.
type Closing struct {
	Actor    string
	Scrapped int64  // that the closer counted
	Settled  bool   // nothing is being issued in the lot any more
	Report   string // signed; "" until it is made
}

// Store keeps closings and reports, and counts.
type Store interface {
	Lot(ctx context.Context, tenant pki.TenantID, name string) (*registry.Lot, error)
	// CloseLot closes an open lot with its event. NotReady while a batch of the lot, or
	// one of those that name it in their rows, is to be issued and not at its end; NotFound where there is
	// no lot. Of a closed one it returns how it was closed.
	CloseLot(ctx context.Context, tenant pki.TenantID, lot string, naming []pki.BatchID, scrapped int64, at time.Time, e pki.Event) (*Closing, error)
	// Closing returns how a lot was closed; NotFound where it was not.
	Closing(ctx context.Context, tenant pki.TenantID, lot string) (*Closing, error)
	// Figures fills a report of the lot with what is stored, at one moment.
	Figures(ctx context.Context, tenant pki.TenantID, lot string) (*Report, error)
	// LotCounts counts a lot as Figures does, also an open one, and looks at so many
	// certificates and refused rows at most. NotFound where there is no lot.
	LotCounts(ctx context.Context, tenant pki.TenantID, lot string, most int64) (*Counts, error)
	// PutReport keeps the signed report of a closed lot with its event, and returns
	// the one that is kept: it is never replaced.
	PutReport(ctx context.Context, tenant pki.TenantID, lot, report string, e pki.Event) (string, error)
	// ReportKey returns the tenant's key for reports; NotFound where it has none.
	ReportKey(ctx context.Context, tenant pki.TenantID) (pki.KeyURI, error)
	// PutReportKey stores the tenant's key unless it has one, and returns the one it
	// has.
	PutReportKey(ctx context.Context, tenant pki.TenantID, key pki.KeyURI, at time.Time, e pki.Event) (pki.KeyURI, error)
}

// Batches know which batches that are to be issued, and not at their end, name a lot in their rows.
type Batches interface {
	Naming(ctx context.Context, tenant pki.TenantID, lot string) ([]pki.BatchID, error)
}

// Config is what a Service is made of; every field is needed.
type Config struct {
	Store   Store
	Batches Batches
	Signer  Signer
	Now     pki.Clock
	Closed  func() // is called when a lot was closed
}

// A Service closes lots. Its methods are safe for concurrent use.
type Service struct {
	cfg    Config
	signed stat.Counter
}

// New returns a Service.
func New(cfg Config) *Service { return &Service{cfg: cfg} }

// Signed counts the reports that this process signed.
func (s *Service) Signed() *stat.Counter { return &s.signed }

// How long Close waits for what is being issued in the lot, and how often it looks.
const (
	patience  = 20 * time.Second
	lookEvery = 20 * time.Millisecond
)

// maxScrapped is the largest number that a closer counts.
const maxScrapped = 1_000_000_000

// Close closes a lot, of which the closer counted so many devices that were
// scrapped without a certificate, and returns its signed report. From then on
// nothing is enrolled in it: Conflict. Closing it again returns the same report.
// It needs access.ManageRegistry.
func (s *Service) Close(ctx context.Context, g access.Permit, lot string, said *int64) (string, error) {
	if err := s.checkLot(ctx, g, access.ManageRegistry, lot); err != nil {
		return "", err
	}
	scrapped := int64(0)
	if said != nil {
		scrapped = *said
	}
	if scrapped < 0 || scrapped > maxScrapped {
		return "", pki.Errorf(pki.Malformed, "scrapped %d: from 0 to %d", scrapped, maxScrapped)
	}
	naming, err := s.naming(ctx, g.Tenant(), lot)
	if err != nil {
		return "", err
	}
	c, err := s.cfg.Store.CloseLot(ctx, g.Tenant(), lot, naming, scrapped, s.cfg.Now().UTC(),
		s.event(g, "lot.close", lot, fmt.Sprintf("scrapped without a certificate: %d", scrapped)))
	if err != nil {
		return "", err
	}
	s.cfg.Closed()
	if said != nil && c.Scrapped != scrapped {
		return "", pki.Errorf(pki.Conflict, "the lot %q is closed already, with %d scrapped, which is not changed; 'pando lot report show' gives its report", lot, c.Scrapped)
	}
	if c.Report != "" {
		return c.Report, nil
	}
	if err := s.settle(ctx, g.Tenant(), lot, c); err != nil {
		return "", err
	}
	r, err := s.cfg.Store.Figures(ctx, g.Tenant(), lot)
	if err != nil {
		return "", err
	}
	key, err := s.ensureKey(ctx, g)
	if err != nil {
		return "", err
	}
	signed, err := s.sign(ctx, key, r)
	if err != nil {
		return "", err
	}
	kept, err := s.cfg.Store.PutReport(ctx, g.Tenant(), lot, signed,
		s.event(g, "lot.report", lot, fmt.Sprintf("ordered %d, issued %d, refused %d, scrapped %d, open %d, sha256 %x",
			r.Ordered, r.Issued, r.Refused, r.Scrapped, r.Open, sha256.Sum256([]byte(signed)))))
	if err == nil {
		s.signed.Add(1)
	}
	return kept, err
}

// naming returns the batches that name an open lot in their rows.
func (s *Service) naming(ctx context.Context, tenant pki.TenantID, lot string) ([]pki.BatchID, error) {
	l, err := s.cfg.Store.Lot(ctx, tenant, lot)
	if err != nil || l.State == registry.LotClosed {
		return nil, err
	}
	return s.cfg.Batches.Naming(ctx, tenant, lot)
}

// checkLot reports whether a lot is within a permit.
func (s *Service) checkLot(ctx context.Context, g access.Permit, permission access.Permission, lot string) error {
	if g.Whole() {
		return g.Check(permission)
	}
	if err := g.CheckSome(permission); err != nil {
		return err
	}
	l, err := s.cfg.Store.Lot(ctx, g.Tenant(), lot)
	if err != nil {
		return err
	}
	return g.CheckAt(permission, l.Where())
}

// settle waits until what was being issued when the lot was closed is recorded.
func (s *Service) settle(ctx context.Context, tenant pki.TenantID, lot string, c *Closing) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for !c.Settled {
		select {
		case <-ctx.Done():
			return pki.Because(pki.Unavailable, ctx.Err(), "the lot is closed; certificates of it are still being recorded: close it again for the report")
		case <-time.After(lookEvery):
		}
		var err error
		if c, err = s.cfg.Store.Closing(ctx, tenant, lot); err != nil {
			return err
		}
	}
	return nil
}

// mostCounted is how many certificates, and refused rows, Counts looks at: two lots
// of the size that is usual.
const mostCounted = 200_000

// Counts returns the numbers of a lot: of a closed one those of its report, of
// another what there is now. It needs access.ReadRegistry.
func (s *Service) Counts(ctx context.Context, g access.Permit, lot string) (*Counts, error) {
	if err := s.checkLot(ctx, g, access.ReadRegistry, lot); err != nil {
		return nil, err
	}
	c, err := s.cfg.Store.Closing(ctx, g.Tenant(), lot)
	if err == nil && c.Report != "" {
		text, _, _ := strings.Cut(c.Report, "\n\n")
		r, err := read(text + "\n")
		if err != nil {
			return nil, fmt.Errorf("the report of lot %q: %w", lot, err)
		}
		counts := r.Counts()
		return &counts, nil
	}
	if err != nil && pki.KindOf(err) != pki.NotFound {
		return nil, err
	}
	return s.cfg.Store.LotCounts(ctx, g.Tenant(), lot, mostCounted)
}

// Report returns the signed report of a closed lot; NotReady where it was not
// made, or the lot is open. It needs access.ReadRegistry.
func (s *Service) Report(ctx context.Context, g access.Permit, lot string) (string, error) {
	if err := s.checkLot(ctx, g, access.ReadRegistry, lot); err != nil {
		return "", err
	}
	c, err := s.cfg.Store.Closing(ctx, g.Tenant(), lot)
	if pki.KindOf(err) == pki.NotFound {
		if _, err := s.cfg.Store.Lot(ctx, g.Tenant(), lot); err != nil {
			return "", err
		}
		return "", pki.Errorf(pki.NotReady, "the lot %q is open: it gets its report when it is closed ('pando lot close'); 'pando lot show' counts what there is", lot)
	}
	if err != nil {
		return "", err
	}
	if c.Report == "" {
		return "", pki.Errorf(pki.NotReady, "the report of lot %q was not made yet: close the lot again", lot)
	}
	return c.Report, nil
}

// Key returns the tenant's public key for reports, as Verify takes it; NotFound
// before the first lot is closed. It needs access.ReadRegistry anywhere.
func (s *Service) Key(ctx context.Context, g access.Permit) (string, error) {
	if err := g.CheckSome(access.ReadRegistry); err != nil {
		return "", err
	}
	uri, err := s.cfg.Store.ReportKey(ctx, g.Tenant())
	if err != nil {
		return "", err
	}
	signer, err := s.note(ctx, g.Tenant(), uri)
	if err != nil {
		return "", err
	}
	return signer.verifier, nil
}

func (s *Service) ensureKey(ctx context.Context, g access.Permit) (*noteSigner, error) {
	uri, err := s.cfg.Store.ReportKey(ctx, g.Tenant())
	if pki.KindOf(err) == pki.NotFound {
		if uri, err = s.cfg.Signer.Generate(ctx, "software", g.Tenant(), pki.Ed25519, keystore.UseLotReport); err == nil {
			uri, err = s.cfg.Store.PutReportKey(ctx, g.Tenant(), uri, s.cfg.Now().UTC(), s.event(g, "lot-report-key.create", "", string(uri)))
		}
	}
	if err != nil {
		return nil, err
	}
	return s.note(ctx, g.Tenant(), uri)
}

func (s *Service) sign(ctx context.Context, key *noteSigner, r *Report) (string, error) {
	text, err := r.text()
	if err != nil {
		return "", err
	}
	key.ctx = ctx
	signed, err := note.Sign(&note.Note{Text: text}, key)
	if err != nil {
		return "", fmt.Errorf("signing the report of lot %q: %w", r.Lot, err)
	}
	_, err = Verify(signed, key.verifier)
	return string(signed), err
}

// A noteSigner signs one note with a tenant's key.
type noteSigner struct {
	ctx      context.Context
	signer   Signer
	uri      pki.KeyURI
	name     string
	hash     uint32
	verifier string
}

func (s *Service) note(ctx context.Context, tenant pki.TenantID, uri pki.KeyURI) (*noteSigner, error) {
	public, _, err := s.cfg.Signer.Public(ctx, uri)
	if err != nil {
		return nil, err
	}
	parsed, err := x509.ParsePKIXPublicKey(public.SPKI())
	if err != nil {
		return nil, fmt.Errorf("the key %s for lot reports: %w", uri, err)
	}
	key, ok := parsed.(ed25519.PublicKey)
	if !ok {
		return nil, fmt.Errorf("the key %s for lot reports is a %T", uri, parsed)
	}
	verifier, err := note.NewEd25519VerifierKey(keyName(tenant), key)
	if err != nil {
		return nil, err
	}
	hash, err := hex.DecodeString(strings.SplitN(verifier, "+", 3)[1])
	if err != nil || len(hash) != 4 {
		return nil, fmt.Errorf("the verifier's key %.60q is not as it should be", verifier)
	}
	return &noteSigner{signer: s.cfg.Signer, uri: uri, name: keyName(tenant), hash: binary.BigEndian.Uint32(hash), verifier: verifier}, nil
}

// Name returns the key's name.
func (n *noteSigner) Name() string { return n.name }

// KeyHash returns the key's hash.
func (n *noteSigner) KeyHash() uint32 { return n.hash }

// Sign signs a note's text.
func (n *noteSigner) Sign(text []byte) ([]byte, error) {
	return n.signer.Sign(n.ctx, n.uri, signer.LotReport, text, true)
}

func (s *Service) event(g access.Permit, action, lot, detail string) pki.Event {
	target := "lot:" + lot
	if lot == "" {
		target = "lot-report-key"
	}
	return pki.Event{Tenant: g.Tenant(), At: s.cfg.Now().UTC(), Actor: g.Actor(), Action: action, Target: target, Detail: detail}
}
