// Package ceremony is the offline path: the only way in which a root key is made
// or used. It needs no network and no server; requests and answers are files.
package ceremony

import (
	"io"
	"time"

	"github.com/pando-pki/pando/internal/pki"
)

// A Request is one file that asks the root for one act.
type Request struct {
	Kind string `json:"kind"` // "certificate" or "crl"
	Root string `json:"root"` // SHA-256 of the root's certificate, hex: no other root signs

	// The root's status names, for what it signs.
	RootIssuer pki.IssuerID `json:"root_issuer"`
	StatusURL  string       `json:"status_url"`

	// Of a certificate.
	Issuer         pki.IssuerID `json:"issuer,omitempty"` // who the certificate is for
	ProfileTenant  pki.TenantID `json:"profile_tenant,omitempty"`
	ProfileVersion int          `json:"profile_version,omitempty"`
	Profile        string       `json:"profile,omitempty"` // the whole document
	CommonName     string       `json:"common_name,omitempty"`
	Organization   string       `json:"organization,omitempty"`
	CSR            []byte       `json:"csr,omitempty"` // DER

	// Of a CRL.
	Number  int64        `json:"number,omitempty"`
	Days    int          `json:"days,omitempty"` // until the next update
	Entries []Revocation `json:"entries,omitempty"`
}

// A Revocation is one entry of a CRL that is asked for.
type Revocation struct {
	Serial string    `json:"serial"`
	At     time.Time `json:"at"`
	Reason string    `json:"reason"`
}

// A Response is the answer to a Request, as a file.
type Response struct {
	Kind        string       `json:"kind"`
	Issuer      pki.IssuerID `json:"issuer,omitempty"`      // of a certificate
	Certificate []byte       `json:"certificate,omitempty"` // DER
	RootIssuer  pki.IssuerID `json:"root_issuer,omitempty"` // of a CRL
	CRL         []byte       `json:"crl,omitempty"`         // DER
}

// RootConfig is what a root is made of.
type RootConfig struct {
	Mode         pki.Mode
	CommonName   string
	Organization string
	Profile      []byte // the root profile's document
	Passphrase   pki.Secret
	Sealed       string // path of the sealed file, which must not exist
	Now          pki.Clock
	WorkFactor   int // log2 of scrypt's cost for the passphrase; 0 is 18, about a second
}

// NewRoot makes a root key and its self-signed certificate, and seals the key
// into one file. It returns the certificate's DER.
func NewRoot(cfg RootConfig) ([]byte, error) { panic("unwritten") }

// SignConfig is one act with a sealed root.
type SignConfig struct {
	Sealed     string
	Passphrase pki.Secret
	Request    *Request
	Now        pki.Clock
}

// Sign opens the sealed file, does the one act that the request asks for, and
// shuts it again.
func Sign(cfg SignConfig) (*Response, error) { panic("unwritten") }

// ReadRequest reads a request file strictly, at most 64 MiB; WriteRequest writes one. ReadResponse and WriteResponse likewise.
func ReadRequest(r io.Reader) (*Request, error)    { panic("unwritten") }
func WriteRequest(w io.Writer, r *Request) error   { panic("unwritten") }
func ReadResponse(r io.Reader) (*Response, error)  { panic("unwritten") }
func WriteResponse(w io.Writer, r *Response) error { panic("unwritten") }
