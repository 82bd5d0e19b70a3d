// Package ceremony is the offline path: the only way in which a root key is made
// or used. It needs no network and no server; requests and answers are files.
//
// A root is two files that stay together. The sealed file holds the key under a
// passphrase. The journal beside it holds a line for each act, written before
// the key is used and again, with what was signed, when the act is done, each line
// chained to the one before by its hash. A root whose journal is missing, broken or another root's
// does not sign. The chain shows an edit, an insertion or a removal within; that
// its tail was cut off shows only against a copy, so keep one with each answer.
//
// This is the first form of the ceremony: one holder, one passphrase. A plan
// file, shares of several custodians and a signed transcript are not here.
package ceremony

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"time"

	"github.com/pando-pki/pando/internal/keystore"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/policy"
	"github.com/pando-pki/pando/internal/tbs"
)

// RootConfig is what a root is made of.
type RootConfig struct {
	Mode         pki.Mode
	CommonName   string
	Organization string
	Profile      []byte     // the root profile's document; its first key kind is the root's
	Passphrase   pki.Secret // 12 characters at least, 8 in mode test
	WorkFactor   int        // log2 of scrypt's cost for the passphrase; 0 is 18, about a second; lower only in mode test
	Sealed       string     // path of the sealed file, which must not exist; the journal is "{Sealed}.journal"
	Now          pki.Clock
}

// NewRoot makes a root key and its self-signed certificate, seals both into one
// file of mode 0600 and begins the journal. It returns the certificate's DER. A
// path that exists is Conflict; a profile that is not for CA certificates is
// PolicyRefused; under GODEBUG=fips140=only it is Unavailable. A context that ends
// before the journal begins ends the making; afterwards it is finished whatever the
// context says.
func NewRoot(ctx context.Context, cfg RootConfig) ([]byte, error) {
	profile, err := cfg.check()
	if err != nil {
		return nil, err
	}
	r, j, err := cfg.create(ctx, profile, profile.KeyKinds()[0], nil)
	if err != nil {
		return nil, err
	}
	j.close()
	return r.certificate.Raw, nil
}

// check sets the default and checks what a root is to be made of.
func (cfg *RootConfig) check() (*policy.Profile, error) {
	if cfg.WorkFactor == 0 {
		cfg.WorkFactor = usualWorkFactor
	}
	switch {
	case cfg.Mode != pki.Production && cfg.Mode != pki.Test:
		return nil, pki.Errorf(pki.Malformed, "mode %.20q: it is %s or %s", string(cfg.Mode), pki.Production, pki.Test)
	case cfg.Sealed == "":
		return nil, pki.Errorf(pki.Malformed, "a root has a path for its sealed file")
	}
	if err := checkFIPS(); err != nil {
		return nil, err
	}
	if err := pki.CheckText("common name of the root", cfg.CommonName); err != nil {
		return nil, err
	}
	if err := pki.CheckText("organization of the root", cfg.Organization); err != nil {
		return nil, err
	}
	if err := checkPassphrase(cfg.Passphrase, cfg.Mode, cfg.WorkFactor); err != nil {
		return nil, err
	}
	if _, err := os.Lstat(cfg.Sealed); err == nil {
		return nil, pki.Errorf(pki.Conflict, "%s exists; a root is not overwritten", cfg.Sealed)
	}
	profile, err := policy.Parse(cfg.Profile)
	if err != nil {
		return nil, fmt.Errorf("root profile: %w", err)
	}
	if !profile.CA() || len(profile.KeyKinds()) == 0 {
		return nil, pki.Errorf(pki.PolicyRefused, "profile %s is not for CA certificates", profile.Name())
	}
	return profile, nil
}

// create makes the key and the certificate of a root by a configuration that was
// checked, and returns it with its open journal. Where it follows another, that one
// has a say before there is a journal.
func (cfg *RootConfig) create(ctx context.Context, profile *policy.Profile, kind pki.KeyKind, before *precursor) (*root, *journal, error) {
	key, err := keystore.NewPrivateKey(kind)
	if err != nil {
		return nil, nil, fmt.Errorf("make root key: %w", err)
	}
	public, err := tbs.NewPublicKey(key.Public())
	if err != nil {
		return nil, nil, fmt.Errorf("make root key: %w", err)
	}
	now := cfg.Now().UTC()
	message, err := rootCertificate(profile, public, cfg, now)
	if err != nil {
		return nil, nil, err
	}
	intent, err := certificateIntent(actRoot, cfg.Mode, message, now)
	if err != nil {
		return nil, nil, err
	}
	if before != nil {
		intent.Request = before.request
		if err := before.admit(message); err != nil {
			return nil, nil, err
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	r := &root{mode: cfg.Mode, key: key}
	j, err := r.make(intent, cfg)
	return r, j, err
}

// rootCertificate returns the TBSCertificate of a root, linted.
func rootCertificate(profile *policy.Profile, key tbs.PublicKey, cfg *RootConfig, now time.Time) ([]byte, error) {
	ref := pki.ProfileRef{Name: profile.Name(), Version: 1}
	self := policy.IssuerParams{Mode: cfg.Mode, KeyID: profile.KeyID(key), Algorithm: key.SignatureAlgorithm(), PathLen: -1, Shards: 1}
	input := &policy.Input{
		CSR:        &tbs.CSR{Key: key},
		CommonName: cfg.CommonName, Organization: cfg.Organization, Now: now,
	}
	subject, err := profile.Subject(input)
	if err != nil {
		return nil, err
	}
	self.Subject = subject
	return build(profile, ref, self, input)
}

// build returns the TBSCertificate that a profile makes of input for an issuer,
// with a new serial, linted.
func build(profile *policy.Profile, ref pki.ProfileRef, issuer policy.IssuerParams, input *policy.Input) ([]byte, error) {
	bound, err := profile.Bind(ref, issuer)
	if err != nil {
		return nil, err
	}
	content, err := bound.Content(input)
	if err != nil {
		return nil, err
	}
	content.Serial = pki.NewSerial(pki.ClassOf(content.NotBefore, content.NotAfter), input.Now)
	message, err := bound.Append(nil, content)
	if err != nil {
		return nil, err
	}
	if err := bound.Lint(message, content); err != nil {
		return nil, err
	}
	return message, nil
}

// make begins the journal, signs the root's certificate, seals the root, and returns
// its open journal.
func (r *root) make(intent entry, cfg *RootConfig) (*journal, error) {
	if err := createJournal(journalOf(cfg.Sealed), intent); err != nil {
		return nil, err
	}
	certificate, err := r.sign(intent.TBS)
	if err != nil {
		return nil, err
	}
	r.certificate, err = tbs.ParseCertificate(certificate)
	if err != nil {
		return nil, err
	}
	if err := r.certificate.CheckSignedBy(r.certificate); err != nil {
		return nil, err
	}
	sealed, err := r.seal(cfg.Passphrase, cfg.WorkFactor)
	if err != nil {
		return nil, fmt.Errorf("seal root: %w", err)
	}
	if err := keystore.CreateFile(cfg.Sealed, sealed); err != nil {
		return nil, err
	}
	j, err := r.openJournal(cfg.Sealed)
	if err != nil {
		return nil, err
	}
	if err := j.append(done(intent, certificate, intent.At)); err != nil {
		j.close()
		return nil, err
	}
	return j, nil
}

// journalOf returns the path of the journal of a sealed file.
func journalOf(sealed string) string { return sealed + ".journal" }

// openJournal opens the journal beside a sealed file and checks that it is this
// root's.
func (r *root) openJournal(sealed string) (*journal, error) {
	j, err := openJournal(journalOf(sealed))
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(j.rootTBS, r.certificate.TBS) || j.last.Mode != r.mode {
		j.close()
		return nil, pki.Errorf(pki.Conflict, "%s is the journal of another root", journalOf(sealed))
	}
	return j, nil
}

// certificateIntent returns the journal's intent to sign a TBSCertificate.
func certificateIntent(act string, mode pki.Mode, message []byte, now time.Time) (entry, error) {
	c, err := tbs.ParseTBS(message)
	if err != nil {
		return entry{}, err
	}
	subject, err := tbs.ParseName(c.Subject)
	if err != nil {
		return entry{}, err
	}
	return entry{
		At: now, Mode: mode, Act: act, Step: stepIntent,
		Subject: subject.String(), Serial: c.Serial.String(), TBS: message,
	}, nil
}

// done returns the journal's entry that ends the act of intent.
func done(intent entry, signed []byte, now time.Time) entry {
	return entry{
		At: now, Mode: intent.Mode, Act: intent.Act, Step: stepDone,
		Subject: intent.Subject, Serial: intent.Serial, Number: intent.Number, Request: intent.Request,
		Result: sha256Hex(signed), Signed: signed,
	}
}
