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

	self bool // it issues itself; it has no private key, so that it is never signed
}

// A Specimen is a certificate with the request that it was made for.
type Specimen struct {
	Certificate []byte // DER
	Request     []byte // DER
	Warnings    []policy.Finding
}

// Issue decides, encodes, lints and signs as an issuing authority does. Its refusals
// are those that the request would get there.
func Issue(cfg Config) (*Specimen, error) {
	m, err := prepare(cfg)
	if err != nil {
		return nil, err
	}
	if err := m.bound.Lint(m.message, m.content); err != nil {
		return nil, pki.Because(pki.PolicyRefused, err, "what the profile makes of this request is not a certificate that may be issued: %v", err)
	}
	signature, err := tbs.Sign(m.key, m.algorithm, m.message)
	if err != nil {
		return nil, err
	}
	certificate := tbs.AppendSigned(nil, m.message, m.algorithm, signature)
	return &Specimen{certificate, m.csr.Raw, cfg.Profile.Zlint(certificate)}, nil
}

// A prepared specimen is one before its signature.
type prepared struct {
	csr       *tbs.CSR
	bound     *policy.Bound
	content   *tbs.Content
	message   []byte
	key       crypto.Signer // the issuer's; nil of one that issues itself
	algorithm tbs.SignatureAlgorithm
}

// unsigned returns the certificate with what is no signature.
func (p *prepared) unsigned() []byte {
	return tbs.AppendSigned(nil, p.message, p.algorithm, []byte("none"))
}

// prepare decides and encodes.
func prepare(cfg Config) (*prepared, error) {
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
	if cfg.self {
		key, params.KeyID, params.Algorithm = nil, cfg.Profile.KeyID(in.CSR.Key), in.CSR.Key.SignatureAlgorithm()
		if params.Subject, err = cfg.Profile.Subject(&in); err != nil {
			return nil, err
		}
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
	return &prepared{in.CSR, bound, content, message, key, params.Algorithm}, nil
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
