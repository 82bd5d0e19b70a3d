// Package policy turns a profile, a YAML document, into what goes into a
// certificate, and refuses what must not.
package policy

import (
	"time"

	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/tbs"
)

// A Profile is a parsed and checked profile document.
type Profile struct{}

// Parse reads a profile strictly: unknown keys, duplicate keys and wrong values are Malformed errors with line and caret.
func Parse(source []byte) (*Profile, error) { panic("unwritten") }

func (p *Profile) Name() string            { panic("unwritten") }
func (p *Profile) CA() bool                { panic("unwritten") } // for CA certificates: basic constraints CA:TRUE
func (p *Profile) SharedKeys() bool        { panic("unwritten") } // keys: shared
func (p *Profile) RenewSameKey() bool      { panic("unwritten") }
func (p *Profile) KeyKinds() []pki.KeyKind { panic("unwritten") } // for those who generate: preferred first

// NeedsDevice: the profile names device.id, so an enrolment without a device is refused.
func (p *Profile) NeedsDevice() bool { panic("unwritten") }

// Reference returns the names of the reference profiles in order; ReferenceSource one's document.
func Reference() []string                         { panic("unwritten") }
func ReferenceSource(name string) ([]byte, error) { panic("unwritten") }

// IssuerParams is what of an issuer goes into certificates.
type IssuerParams struct {
	ID                  pki.IssuerID
	Subject             []byte // DER Name
	KeyID               []byte // its SKI
	Algorithm           tbs.SignatureAlgorithm
	NotBefore, NotAfter time.Time // certificates stay inside; zero for a root's own
	PathLen             int       // of its certificate, -1 none; a CA profile must go below
	StatusURL           string    // "" leaves CRLDP and AIA out; "{StatusURL}/ocsp/{ID}", "/crl/{ID}/{shard}.crl", "/ca/{ID}.cer"
	Shards              int
}

// Bound is a profile version compiled for one issuer: precomputed encoder parts. Safe for concurrent use.
type Bound struct{}

func (p *Profile) Bind(ref pki.ProfileRef, issuer IssuerParams) (*Bound, error) { panic("unwritten") }

func (b *Bound) Ref() pki.ProfileRef { panic("unwritten") }
func (b *Bound) Profile() *Profile   { panic("unwritten") }

// Input is all that a profile may draw on.
type Input struct {
	CSR          *tbs.CSR
	Device       pki.DeviceID
	Organization string    // of the owner
	CommonName   string    // of an authority or responder: from registered data, not from the request
	Names        pki.Names // authorised for the endpoint
	Attributes   map[string]string
	Now          time.Time
}

// Content decides what goes into the certificate (all but the serial), or refuses: BadKey, PolicyRefused.
func (b *Bound) Content(in *Input) (*tbs.Content, error) { panic("unwritten") }

// Append encodes the TBSCertificate.
func (b *Bound) Append(dst []byte, c *tbs.Content) ([]byte, error) { panic("unwritten") }

// Lint re-reads the to-be-signed bytes and checks them against RFC 5280, the issuer, the profile and the content.
func (b *Bound) Lint(tbsCertificate []byte, c *tbs.Content) error { panic("unwritten") }

// CheckKey refuses weak keys: RSA below 2048 or above 4096, small or even exponents, ROCA, Fermat-close primes,
// points not on the curve. The block list is the caller's.
func CheckKey(key tbs.PublicKey) error { panic("unwritten") }
