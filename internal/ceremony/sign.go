package ceremony

import (
	"context"
	"strings"
	"time"

	"github.com/pando-pki/pando/internal/pki"
)

// SignConfig is one act with a sealed root.
type SignConfig struct {
	Sealed     string // path of the sealed file; the journal is beside it
	Passphrase pki.Secret
	Request    *Request
	Now        pki.Clock

	// Again signs anew what the journal says was signed already, for the same
	// request. Two certificates of one key under one name are seldom meant.
	Again bool
}

// Sign opens the sealed file, does the one act that the request asks for, and
// shuts it again. The act stands in the journal before the key is used, and its
// end before the answer is returned.
//
// It refuses: a wrong passphrase (Forbidden); a request for another root, or one
// that profile and root do not allow (PolicyRefused, BadKey, BadProof); a
// journal that is missing (NotFound), in use, broken or another root's, a CRL
// number that is not above the earlier ones or far above them, and a clock that is
// behind the journal's last line, a day behind the request or 90 days ahead of it
// (Conflict); so is a request that was signed before, unless Again. What is refused
// leaves no line in the journal. A context that ends before the act's first line
// ends it all; afterwards the act is finished whatever the context says.
func Sign(ctx context.Context, cfg SignConfig) (*Response, error) {
	if err := cfg.Request.check(); err != nil {
		return nil, err
	}
	now := cfg.Now().UTC()
	if err := cfg.Request.checkClock(now); err != nil {
		return nil, err
	}
	if cfg.Request.Kind == KindRoot {
		return nil, pki.Errorf(pki.PolicyRefused, "this request is for the root that follows this one: 'pando ceremony rollover' makes it")
	}
	r, j, err := openFor(cfg.Request, cfg.Sealed, cfg.Passphrase, now)
	if err != nil {
		return nil, err
	}
	defer j.close()
	if at, signed := j.signed[cfg.Request.hash()]; signed && !cfg.Again {
		return nil, pki.Errorf(pki.Conflict, "this request was signed already, at %s: 'pando ceremony answer' writes that answer once more",
			at.UTC().Format(time.RFC3339))
	}
	if cfg.Request.Kind == KindCRL {
		return r.signCRL(ctx, j, cfg.Request, now)
	}
	return r.signCertificate(ctx, j, cfg.Request, now)
}

// openFor opens the root that a request is for, and its journal.
func openFor(req *Request, sealed string, by pki.Secret, now time.Time) (*root, *journal, error) {
	r, err := openRoot(sealed, passphrase(by))
	if err != nil {
		return nil, nil, err
	}
	if have := sha256Hex(r.certificate.Raw); !strings.EqualFold(req.Root, have) {
		return nil, nil, pki.Errorf(pki.PolicyRefused, "the request is for the root with the SHA-256 %s; this is %s", req.Root, have)
	}
	if req.Mode != r.mode {
		return nil, nil, pki.Errorf(pki.PolicyRefused, "the request takes the root for one of mode %s; it was made in mode %s", req.Mode, r.mode)
	}
	j, err := r.openJournal(sealed)
	if err != nil {
		return nil, nil, err
	}
	if err := r.checkClock(j, now); err != nil {
		j.close()
		return nil, nil, err
	}
	return r, j, nil
}

// checkClock checks that now is not before the journal's last line and within
// the root's validity.
func (r *root) checkClock(j *journal, now time.Time) error {
	if now.Before(j.last.At) {
		return pki.Errorf(pki.Conflict, "this machine's clock says %s, and the journal's last line is of %s: set the clock",
			now.Format(time.RFC3339), j.last.At.UTC().Format(time.RFC3339))
	}
	from, to := r.certificate.NotBefore, r.certificate.NotAfter
	if now.Before(from) || now.After(to) {
		return pki.Errorf(pki.PolicyRefused, "this machine's clock says %s, and the root is valid from %s to %s",
			now.Format(time.RFC3339), from.Format(time.RFC3339), to.Format(time.RFC3339))
	}
	return nil
}

// act journals an intent, signs its bytes, lets check look at the signed
// structure, and journals that the act is done.
func (r *root) act(ctx context.Context, j *journal, intent entry, check func(signed []byte) error) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := j.append(intent); err != nil {
		return nil, err
	}
	signed, err := r.sign(intent.TBS)
	if err != nil {
		return nil, err
	}
	if err := check(signed); err != nil {
		return nil, err
	}
	if err := j.append(done(intent, signed, intent.At)); err != nil {
		return nil, err
	}
	return signed, nil
}
