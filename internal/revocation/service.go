// Package revocation is the validation authority: it records revocations and
// answers about status, with CRLs by shard (RFC 5280) and OCSP (RFC 6960, 9919,
// 9654), both from the same store.
//
// It signs CRLs with the issuer's key and OCSP responses with a delegated
// responder's. It does not speak HTTP: proto/status does.
package revocation

import (
	"context"
	"io"
	"log/slog"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/pando-pki/pando/internal/alarm"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/signer"
	"github.com/pando-pki/pando/internal/tbs"
)

// Backdate is how far before its signing the thisUpdate of a CRL or OCSP
// response lies, so that a relying party whose clock is late does not refuse it
// as not yet valid: a device that refuses fresh status falls back on older
// status, or on none. Five minutes is also the leeway of openssl ocsp. An entry
// may thus have a revocation date up to five minutes after thisUpdate.
const Backdate = 5 * time.Minute

// The lives of what is signed, where Config leaves them at zero.
const (
	DefaultCRLLife  = 24 * time.Hour
	DefaultOCSPLife = 12 * time.Hour
)

// A Signer signs whole structures with keys named by URI; signer.Signer is one.
type Signer interface {
	// Public returns the public key of a key, and whether hardware holds it.
	Public(ctx context.Context, key pki.KeyURI) (public tbs.PublicKey, hardware bool, err error)
	// Sign signs message; check says whether a software key's signature is
	// verified before it is returned.
	Sign(ctx context.Context, key pki.KeyURI, purpose signer.Purpose, message []byte, check bool) ([]byte, error)
	// SignStream signs what write writes, and verifies the signature. It may
	// call write more than once.
	SignStream(ctx context.Context, key pki.KeyURI, purpose signer.Purpose, write func(io.Writer) error) ([]byte, error)
}

// Issuers finds issuers, of all tenants.
type Issuers interface {
	// Issuer returns the issuer with the given id, or NotFound.
	Issuer(ctx context.Context, id pki.IssuerID) (*pki.Issuer, error)
	// AllIssuers returns every issuer that has a certificate.
	AllIssuers(ctx context.Context) ([]*pki.Issuer, error)
}

// Responders finds the delegated OCSP responder of an issuer (RFC 6960, 4.2.2.2).
type Responders interface {
	// Responder returns a certificate that the issuer has signed for OCSP, the
	// key of it and the end of its validity. It makes both where they are not
	// there and renews them at half of their life, so a later call may return
	// others.
	Responder(ctx context.Context, issuer pki.IssuerID) (certificate []byte, key pki.KeyURI, notAfter time.Time, err error)
}

// A Publisher brings CRLs to other places.
type Publisher interface {
	// Published tells that the store has a new CRL of a list. It does not wait.
	Published(list List)
}

// Config is what a Service is made of.
type Config struct {
	Store      Store
	Signer     Signer
	Issuers    Issuers
	Responders Responders
	Gate       Gate
	Alarms     *alarm.Board
	Now        pki.Clock
	Log        *slog.Logger

	// LintCRL reads the TBSCertList of each CRL before it is signed, with one entry of
	// each reason in place of all; what it refuses is not signed. nil reads none.
	LintCRL func(message []byte, alg tbs.SignatureAlgorithm) error

	// Publisher is told of each CRL that is stored; nil is told of none.
	Publisher Publisher

	// CRLLife is the time from the signing of a CRL to its nextUpdate; a CRL is
	// made anew before half of it is over. Zero is DefaultCRLLife.
	CRLLife time.Duration
	// OCSPLife is the same for OCSP responses; one that is kept is signed anew
	// when half of it, or an hour, is over. Zero is DefaultOCSPLife.
	OCSPLife time.Duration
}

// A Service is the validation authority. Its methods are safe for concurrent use.
type Service struct {
	cfg        Config
	identities *identities
	responders *responders
	answers    *answers
	crls       *crlCache
	reads      singleflight.Group // of CRLs, from the store
	queue      *entryQueue
	wake       chan struct{} // of one place: a revocation waits for a CRL

	// revoked counts the revocations of this process. An answer that was checked
	// against the store at an earlier count is checked again before it is given.
	revoked atomic.Uint64

	stats Stats

	publishing gate          // held for one pass over the CRLs, and while what was lost is taken over
	pace       map[List]pace // guarded by publishing
}

// New returns a Service. CRLs are made by RunCRL, or by PublishDue.
func New(cfg Config) *Service {
	if cfg.CRLLife == 0 {
		cfg.CRLLife = DefaultCRLLife
	}
	if cfg.OCSPLife == 0 {
		cfg.OCSPLife = DefaultOCSPLife
	}
	return &Service{
		cfg:        cfg,
		identities: newIdentities(cfg.Issuers),
		responders: newResponders(&cfg),
		answers:    newAnswers(maxAnswers),
		crls:       newCRLCache(maxCRLBytes),
		queue:      newEntryQueue(),
		wake:       make(chan struct{}, 1),
		publishing: newGate(),
		pace:       make(map[List]pace),
	}
}

func (s *Service) published(list List) {
	if s.cfg.Publisher != nil {
		s.cfg.Publisher.Published(list)
	}
}

// A gate lets one holder in at a time; unlike a mutex, waiting ends with ctx.
type gate chan struct{}

func newGate() gate { return make(gate, 1) }

func (g gate) enter(ctx context.Context) error {
	select {
	case g <- struct{}{}:
		return nil
	case <-ctx.Done():
		return pki.Because(pki.Unavailable, ctx.Err(), "no answer in time")
	}
}

func (g gate) leave() { <-g }
