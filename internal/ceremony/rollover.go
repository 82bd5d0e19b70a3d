package ceremony

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/policy"
	"github.com/pando-pki/pando/internal/tbs"
)

// RolloverConfig is the making of a root that follows another: its key, its certificate,
// and the two links between them.
type RolloverConfig struct {
	Sealed        string // path of the sealed file of the root that is followed
	Passphrase    pki.Secret
	New           string     // path of the new root's sealed file; its journal is beside it
	NewPassphrase pki.Secret // as RootConfig.Passphrase
	WorkFactor    int        // as RootConfig.WorkFactor
	Request       *Request   // of KindRoot
	Now           pki.Clock
}

// Rollover makes the root that a request asks for, signs its key with the old root's and
// the old root's key with its own. The request's hash stands in both journals with each
// of the three acts, so that they are found together.
//
// It goes on where it was cut off, with the same request and files: what is done is not
// done again, and where all is done the answer is returned once more. The new root's
// key is lost where it was cut off before its sealed file was written; then its journal
// has to be moved away (Conflict).
//
// It refuses what Sign does of the old root, its journal, the request and the clock;
// what NewRoot does of the new one; a profile that gives the new root another name, or
// an earlier end (PolicyRefused); and a file at New that was not made for this request
// (Conflict).
func Rollover(ctx context.Context, cfg RolloverConfig) (*Response, error) {
	req := cfg.Request
	if err := req.check(); err != nil {
		return nil, err
	}
	if req.Kind != KindRoot {
		return nil, pki.Errorf(pki.PolicyRefused, "this request is for a %s: 'pando ceremony sign' signs it", req.Kind)
	}
	now := cfg.Now().UTC()
	if err := req.checkClock(now); err != nil {
		return nil, err
	}
	profile, err := policy.Parse([]byte(req.Profile))
	if err != nil {
		return nil, fmt.Errorf("profile of the request: %w", err)
	}
	old, journal, err := openFor(req, cfg.Sealed, cfg.Passphrase, now)
	if err != nil {
		return nil, err
	}
	defer journal.close()
	next, nextJournal, err := cfg.next(ctx, old, journal, now)
	if err != nil {
		return nil, err
	}
	defer nextJournal.close()

	links := Links{Old: old.certificate, New: next.certificate}
	end := links.Old.NotAfter
	if links.New.NotAfter.Before(end) {
		end = links.New.NotAfter
	}
	links.NewWithOld, err = old.link(ctx, journal, &linkPlan{
		subject: links.New, issuer: req.RootIssuer, notBefore: links.New.NotBefore, notAfter: end, request: req, profile: profile,
	}, now)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(links.NewWithOld.Key.SPKI(), links.New.Key.SPKI()) {
		return nil, errOtherNew(cfg.Sealed)
	}
	links.OldWithNew, err = next.link(ctx, nextJournal, &linkPlan{
		subject: links.Old, issuer: req.Issuer, notBefore: links.Old.NotBefore, notAfter: links.Old.NotAfter, request: req, profile: profile,
	}, now)
	if err != nil {
		return nil, err
	}
	if err := links.Check(); err != nil {
		return nil, err
	}
	return &Response{
		Kind: KindRoot, Issuer: req.Issuer, Certificate: links.New.Raw, ProfileVersion: req.ProfileVersion,
		NewWithOld: links.NewWithOld.Raw, OldWithNew: links.OldWithNew.Raw,
	}, nil
}

// errOtherNew is the error of a request for which the old root signed the key of a new
// one that is not at hand.
func errOtherNew(sealed string) error {
	return pki.Errorf(pki.Conflict, "%s has signed the key of another new root for this request: take the sealed file of that one, or a new request ('pando authority drop' and 'rollover')", sealed)
}

// A precursor is what a new root is held to: the root that it follows, and the request
// that it is made for.
type precursor struct {
	old     *tbs.Parsed
	request string // SHA-256, hex
}

// admit refuses a root's TBSCertificate that could not follow.
func (p *precursor) admit(message []byte) error {
	next, err := tbs.ParseTBS(message)
	if err != nil {
		return err
	}
	return follows(next, p.old)
}

// next makes the new root, or opens the one that was made for the request before.
func (cfg *RolloverConfig) next(ctx context.Context, old *root, oldJournal *journal, now time.Time) (*root, *journal, error) {
	hash := cfg.Request.hash()
	switch _, err := os.Lstat(cfg.New); {
	case err == nil:
		next, j, err := cfg.reopen(hash, now)
		if pki.KindOf(err) == pki.Malformed && oldJournal.links[hash] == nil {
			err = pki.Because(pki.Conflict, err, "%s is not a whole sealed root, as where its making was cut off, and %s has signed nothing for it: move it and its journal away, and make another", cfg.New, cfg.Sealed)
		}
		return next, j, err
	case !errors.Is(err, fs.ErrNotExist):
		return nil, nil, err
	case oldJournal.links[hash] != nil:
		return nil, nil, errOtherNew(cfg.Sealed)
	}
	subject, err := tbs.ParseName(old.certificate.Subject)
	if err != nil {
		return nil, nil, err
	}
	making := &RootConfig{
		Mode: old.mode, CommonName: subject.Get(der.OIDCommonName), Organization: subject.Get(der.OIDOrganization),
		Profile: []byte(cfg.Request.Profile), Passphrase: cfg.NewPassphrase, WorkFactor: cfg.WorkFactor,
		Sealed: cfg.New, Now: func() time.Time { return now },
	}
	profile, err := making.check()
	if err != nil {
		return nil, nil, err
	}
	if kinds := profile.KeyKinds(); !slices.Contains(kinds, cfg.Request.KeyKind) {
		return nil, nil, pki.Errorf(pki.BadKey, "profile %s allows keys of %v, not %.20q", profile.Name(), kinds, cfg.Request.KeyKind)
	}
	return making.create(ctx, profile, cfg.Request.KeyKind, &precursor{old.certificate, hash})
}

// reopen opens the new root that was made before, and ends its making where that was
// cut off after its key was sealed.
func (cfg *RolloverConfig) reopen(hash string, now time.Time) (*root, *journal, error) {
	next, err := openRoot(cfg.New, passphrase(cfg.NewPassphrase))
	if err != nil {
		return nil, nil, err
	}
	j, err := next.openJournal(cfg.New)
	if err != nil {
		return nil, nil, err
	}
	if err := next.resume(j, hash, now); err != nil {
		j.close()
		return nil, nil, err
	}
	return next, j, nil
}

func (r *root) resume(j *journal, hash string, now time.Time) error {
	if j.follows != hash {
		return pki.Errorf(pki.Conflict, "the root at this path exists, and was not made for this request; name another path")
	}
	if err := r.checkClock(j, now); err != nil {
		return err
	}
	if j.made != nil {
		return nil
	}
	making := j.last // without the bytes that it has signed
	return j.append(done(making, r.certificate.Raw, now))
}
