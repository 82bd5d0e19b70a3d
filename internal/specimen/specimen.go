// Package specimen issues throw-away certificates, so that whoever writes a profile
// sees what it makes. Nothing is stored, and the keys are gone when it returns: a
// specimen verifies to no authority.
package specimen

import (
	"crypto"
	"fmt"
	"time"

	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/keystore"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/policy"
	"github.com/pando-pki/pando/internal/tbs"
)

// StatusURL is the base of the URLs in specimens.
const StatusURL = "http://status.specimen.example"

// Config is what a specimen is made for.
type Config struct {
	Profile *policy.Profile

	// Input is what the profile may draw on. Where its CSR is nil, one is made with
	// a throw-away key; Now is needed.
	Input policy.Input

	KeyKind pki.KeyKind       // of the request that is made; "" is the profile's first
	Subject tbs.Name          // of the request that is made
	Names   []tbs.GeneralName // that the request that is made asks for
	Issuer  pki.KeyKind       // of the throw-away issuer; "" is P-256
}

// A Specimen is a certificate with the request that it was made for.
type Specimen struct {
	Certificate []byte // DER
	Request     []byte // DER
}

// Issue decides, encodes, lints and signs as an issuing authority does. Its refusals
// are those that the request would get there.
func Issue(cfg Config) (*Specimen, error) {
	in := cfg.Input
	if in.CSR == nil {
		var err error
		if in.CSR, err = cfg.request(); err != nil {
			return nil, err
		}
	}
	key, params, err := issuer(cfg)
	if err != nil {
		return nil, err
	}
	bound, err := cfg.Profile.Bind(pki.ProfileRef{Name: cfg.Profile.Name(), Version: 1}, *params)
	if err != nil {
		return nil, err
	}
	content, err := bound.Content(&in)
	if err != nil {
		return nil, err
	}
	content.Serial = pki.NewSerial(pki.ClassOf(content.NotBefore, content.NotAfter), in.Now)
	message, err := bound.Append(nil, content)
	if err != nil {
		return nil, err
	}
	if err := bound.Lint(message, content); err != nil {
		return nil, err
	}
	signature, err := tbs.Sign(key, params.Algorithm, message)
	if err != nil {
		return nil, err
	}
	return &Specimen{tbs.AppendSigned(nil, message, params.Algorithm, signature), in.CSR.Raw}, nil
}

// issuer makes the throw-away issuer, of the first authority that the profile is for.
func issuer(cfg Config) (crypto.Signer, *policy.IssuerParams, error) {
	kind := cfg.Issuer
	if kind == "" {
		kind = pki.P256
	}
	key, public, err := newKey(kind)
	if err != nil {
		return nil, nil, err
	}
	name, err := tbs.Name{{OID: der.OIDCommonName, Value: "Throw-away issuer"}}.Append(nil)
	if err != nil {
		return nil, nil, err
	}
	params := &policy.IssuerParams{
		ID: "specimen", Mode: pki.Test, Subject: name, KeyID: public.KeyID(), Algorithm: public.SignatureAlgorithm(),
		NotBefore: cfg.Input.Now.Add(-365 * 24 * time.Hour).Truncate(time.Second), PathLen: -1, StatusURL: StatusURL, Shards: 1, Deltas: true,
	}
	if names := cfg.Profile.Authorities(); len(names) > 0 {
		params.Authority = names[0]
	}
	return key, params, nil
}

// request makes a request with a throw-away key.
func (cfg *Config) request() (*tbs.CSR, error) {
	kind := cfg.KeyKind
	if kind == "" {
		kind = cfg.Profile.KeyKinds()[0]
	}
	key, public, err := newKey(kind)
	if err != nil {
		return nil, err
	}
	subject, err := cfg.Subject.Append(nil)
	if err != nil {
		return nil, err
	}
	var names []byte
	if len(cfg.Names) > 0 {
		if names, err = tbs.AppendGeneralNames(nil, cfg.Names); err != nil {
			return nil, err
		}
	}
	info := tbs.AppendCSR(nil, subject, public, names)
	signature, err := tbs.Sign(key, public.SignatureAlgorithm(), info)
	if err != nil {
		return nil, err
	}
	return tbs.ParseCSR(tbs.AppendSigned(nil, info, public.SignatureAlgorithm(), signature))
}

func newKey(kind pki.KeyKind) (crypto.Signer, tbs.PublicKey, error) {
	key, err := keystore.NewPrivateKey(kind)
	if err != nil {
		return nil, nil, fmt.Errorf("throw-away key: %w", err)
	}
	public, err := tbs.NewPublicKey(key.Public())
	return key, public, err
}
