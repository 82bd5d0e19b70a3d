package enrolauth

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"time"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/pki"
)

// A Notice is what a validator is still to be told: what became of a request that it took.
// It is stored before anything is issued, and goes when the validator was told.
type Notice struct {
	Tenant      pki.TenantID
	Key         string // names the request at its endpoint
	Idempotency string // key of its enrolment, as its adapter made it; "" where that was not begun
	Endpoint    string // name
	Validator   string
	Transaction string
	Protocol    pki.Protocol
	Device      pki.DeviceID // that proved itself by a certificate besides; "" is none
	Sealed      []byte       // the request with its challenge, sealed
	Due         time.Time    // when to look next
	Until       time.Time    // by when it has come to nothing where nothing was issued
	Failure     string       // why it was refused; "" is not known, or it was not
	Attempts    int          // to tell it
}

// NoticeStore keeps notices.
type NoticeStore interface {
	// PutNotice stores a notice in the place of that of its tenant and key, whose idempotency
	// key stays where the new one has none.
	PutNotice(ctx context.Context, n *Notice) error
	// NoticeValidators returns the names of those of whom a notice is there, due or not.
	NoticeValidators(ctx context.Context) ([]string, error)
	// DueNotices returns up to limit notices of all tenants that one validator is to be told
	// and that are due at a time, in order of that.
	DueNotices(ctx context.Context, validator string, at time.Time, limit int) ([]*Notice, error)
	// PostponeNotice sets when to look at a notice next, and how often it was tried, if it is
	// there as it was read: one that took its place since has something else to tell.
	PostponeNotice(ctx context.Context, read *Notice, due time.Time, attempts int) error
	// DropNotice deletes a notice, if it is there as it was read.
	DropNotice(ctx context.Context, read *Notice) error
}

// A Sealer seals requests with their challenges, for the store; soft.KEK is one.
type Sealer interface {
	Seal(label string, plain []byte) []byte
	Unseal(label string, sealed []byte) ([]byte, error)
}

// SealedFor is the label of the notice's sealed request: it opens in its own row alone.
func (n *Notice) SealedFor() string { return "notice\n" + string(n.Tenant) + "\n" + n.Key }

// How long a request may take before it is looked at, where nobody said what became of it:
// the process ended meanwhile. One that waits for approval is looked at less often, and for
// as long as anything may wait.
const (
	noticeSoon     = time.Minute
	noticeNothing  = 15 * time.Minute
	noticeWaiting  = 10 * time.Minute
	noticeApproval = 91 * 24 * time.Hour
)

// An Awaited is a request that a validator took, of which it is to be told the outcome.
type Awaited struct {
	Label       string
	Transaction string
	Request     []byte // DER, with its challenge
	Own         bool   // as in Presented: of others' messages nobody is told that they failed
	Protocol    pki.Protocol
	Idempotency string // key of its enrolment; "" where that was not begun
}

// notice returns what a validator is to be told of a request, which nobody has said yet. One
// request in one transaction is one notice, however often it comes.
func (s *Service) notice(a Awaited, validator string) *Notice {
	tenant, name, _ := strings.Cut(a.Label, ".")
	now := s.cfg.Now().UTC()
	request := sha256.Sum256(a.Request)
	key := sha256.Sum256(append(request[:], a.Label+"\n"+a.Transaction...))
	n := &Notice{
		Tenant: pki.TenantID(tenant), Key: hex.EncodeToString(key[:]), Idempotency: a.Idempotency, Endpoint: name, Validator: validator,
		Transaction: a.Transaction, Protocol: a.Protocol, Due: now.Add(noticeSoon), Until: now.Add(noticeNothing),
	}
	n.Sealed = s.cfg.Sealer.Seal(n.SealedFor(), a.Request)
	return n
}

// Await remembers, before a request is enrolled, that the validator which took it is to be
// told what becomes of it; settle says so, with the error of the enrolment. Of a request that
// came in somebody else's message it is told of success alone, once settle says so: whoever
// has the envelope of another's message could else have it told that the other's enrolment
// failed. For those whom no validator took it does nothing.
func (s *Service) Await(ctx context.Context, who access.Principal, a Awaited) (settle func(context.Context, error) error, err error) {
	if !Validated(who.ID) {
		return func(context.Context, error) error { return nil }, nil
	}
	_, by := took(who.ID)
	n := s.notice(a, by)
	n.Device = who.Device
	if !a.Own {
		return func(ctx context.Context, err error) error {
			if err != nil {
				return nil
			}
			return s.settle(ctx, n, nil)
		}, nil
	}
	if err := s.cfg.Store.PutNotice(ctx, n); err != nil {
		return nil, err
	}
	return func(ctx context.Context, err error) error { return s.settle(ctx, n, err) }, nil
}

// Refused has the validator which took a request be told that it came to nothing before it
// was enrolled, and why. For those whom no validator took, and for a request in somebody
// else's message, it does nothing.
func (s *Service) Refused(ctx context.Context, who access.Principal, a Awaited, why error) error {
	if !Validated(who.ID) || !a.Own {
		return nil
	}
	_, by := took(who.ID)
	n := s.notice(a, by)
	n.Device = who.Device
	return s.settle(ctx, n, why)
}

// settle has a validator be told what became of a request, now that it is known. After a
// fault of ours it is not: the client asks again, or it came to nothing when that is over.
func (s *Service) settle(ctx context.Context, n *Notice, err error) error {
	now := s.cfg.Now().UTC()
	kind := pki.KindOf(err)
	switch {
	case err == nil:
		n.Due = now
	case kind == pki.Pending:
		n.Due, n.Until = now.Add(noticeWaiting), now.Add(noticeApproval)
	case kind == pki.Unavailable || kind == pki.RateLimited || kind == pki.Internal:
	default:
		n.Due, n.Failure = now, pki.DetailOf(err)
	}
	return s.cfg.Store.PutNotice(context.WithoutCancel(ctx), n)
}
