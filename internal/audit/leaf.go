// Package audit is a tenant's log: what its leaves are, to the byte, how they
// become one tree (RFC 6962, section 2), how a tree's head is signed and handed
// out (checkpoints in the form of signed notes), how a leaf is proved to be in it
// and a tree to go on from an older one, the file in which a log is exported, and
// the verifier that needs nothing but such a file.
//
// It keeps nothing and signs nothing: package auditlog runs the logs, the store
// keeps them.
package audit

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/pando-pki/pando/internal/pki"
)

// A Leaf is what one leaf of a log says. Exactly one of its fields is set.
type Leaf struct {
	Certificate *CertificateLeaf `json:"certificate,omitempty"`
	Event       *EventLeaf       `json:"event,omitempty"`
	Revocation  *RevocationLeaf  `json:"revocation,omitempty"`
}

// A CertificateLeaf is an issued certificate and what the store says about it.
type CertificateLeaf struct {
	Issuer      pki.IssuerID  `json:"issuer"`
	Serial      Serial        `json:"serial"`
	SHA256      Digest        `json:"sha256"` // of its DER
	Owner       pki.TenantID  `json:"owner"`
	Device      pki.DeviceID  `json:"device,omitempty"`
	ProductLine string        `json:"product_line,omitempty"`
	Lot         string        `json:"lot,omitempty"`
	Site        string        `json:"site,omitempty"`
	Profile     ProfileOfLeaf `json:"profile"`
	Intent      pki.IntentID  `json:"intent"`
	Place       int           `json:"place"`
	Batch       pki.BatchID   `json:"batch,omitempty"`
	Row         int64         `json:"row,omitempty"`
	NotBefore   time.Time     `json:"not_before"`
	NotAfter    time.Time     `json:"not_after"`
	Issued      time.Time     `json:"issued"`
}

// A ProfileOfLeaf names the version of a profile.
type ProfileOfLeaf struct {
	Tenant  pki.TenantID `json:"tenant"`
	Name    string       `json:"name"`
	Version int          `json:"version"`
}

// An EventLeaf is an administrative act.
type EventLeaf struct {
	ID     string    `json:"id"`
	At     time.Time `json:"at"`
	Actor  string    `json:"actor"`
	Action string    `json:"action"`
	Target string    `json:"target"`
	Detail string    `json:"detail"`
}

// A RevocationLeaf is one entry about a certificate's status.
type RevocationLeaf struct {
	Issuer   pki.IssuerID `json:"issuer"`
	Serial   Serial       `json:"serial"`
	N        int          `json:"n"`
	Reason   int          `json:"reason"` // RFC 5280, 5.3.1
	At       time.Time    `json:"at"`
	Shard    int          `json:"shard"`
	NotAfter time.Time    `json:"not_after"` // of the certificate
}

// OfCertificate returns the leaf of a certificate. sum is the SHA-256 of its DER.
func OfCertificate(c *pki.Certificate, sum [32]byte) CertificateLeaf {
	return CertificateLeaf{
		Issuer: c.Issuer, Serial: Serial(c.Serial), SHA256: sum, Owner: c.Owner, Device: c.Device,
		ProductLine: c.ProductLine, Lot: c.Lot, Site: c.Site, Profile: ProfileOfLeaf(c.Profile), Intent: c.Intent, Place: c.Place,
		Batch: c.Batch, Row: c.Row, NotBefore: c.NotBefore, NotAfter: c.NotAfter, Issued: c.Issued,
	}
}

// OfEvent returns the leaf of an event.
func OfEvent(e *pki.Event) EventLeaf {
	return EventLeaf{ID: e.ID, At: e.At, Actor: e.Actor, Action: e.Action, Target: e.Target, Detail: e.Detail}
}

// OfRevocation returns the leaf of a revocation entry.
func OfRevocation(r *pki.Revocation) RevocationLeaf {
	return RevocationLeaf{Issuer: r.Issuer, Serial: Serial(r.Serial), N: r.N, Reason: int(r.Reason), At: r.At, Shard: r.Shard, NotAfter: r.NotAfter}
}

// The first two bytes of a leaf: the version of its encoding and its kind. What
// they mean never changes; a new encoding has a new version.
const (
	leafVersion = 1

	kindCertificate = 1
	kindEvent       = 2
	kindRevocation  = 3
)

// Data returns the leaf to the byte: version and kind, then the fields in the
// order in which the types list them. A text is preceded by its length as an
// unsigned varint; a number, and a time as microseconds since 1970 (0 for none),
// has eight bytes, the most significant first; serial and digest stand as they
// are. It is empty where no field is set.
func (l *Leaf) Data() []byte { return l.append(nil) }

func (l *Leaf) append(b []byte) []byte {
	switch {
	case l.Certificate != nil:
		c := l.Certificate
		b = append(b, leafVersion, kindCertificate)
		b = appendText(b, string(c.Issuer))
		b = append(b, c.Serial[:]...)
		b = append(b, c.SHA256[:]...)
		b = appendText(b, string(c.Owner))
		b = appendText(b, string(c.Device))
		b = appendText(b, c.ProductLine)
		b = appendText(b, c.Lot)
		b = appendText(b, c.Site)
		b = appendText(b, string(c.Profile.Tenant))
		b = appendText(b, c.Profile.Name)
		b = appendNumber(b, int64(c.Profile.Version))
		b = appendText(b, string(c.Intent))
		b = appendNumber(b, int64(c.Place))
		b = appendText(b, string(c.Batch))
		b = appendNumber(b, c.Row)
		b = appendTime(b, c.NotBefore)
		b = appendTime(b, c.NotAfter)
		b = appendTime(b, c.Issued)
	case l.Event != nil:
		e := l.Event
		b = append(b, leafVersion, kindEvent)
		b = appendText(b, e.ID)
		b = appendTime(b, e.At)
		b = appendText(b, e.Actor)
		b = appendText(b, e.Action)
		b = appendText(b, e.Target)
		b = appendText(b, e.Detail)
	case l.Revocation != nil:
		r := l.Revocation
		b = append(b, leafVersion, kindRevocation)
		b = appendText(b, string(r.Issuer))
		b = append(b, r.Serial[:]...)
		b = appendNumber(b, int64(r.N))
		b = appendNumber(b, int64(r.Reason))
		b = appendTime(b, r.At)
		b = appendNumber(b, int64(r.Shard))
		b = appendTime(b, r.NotAfter)
	}
	return b
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func appendNumber(b []byte, n int64) []byte { return binary.BigEndian.AppendUint64(b, uint64(n)) }

func appendTime(b []byte, t time.Time) []byte {
	if t.IsZero() {
		return appendNumber(b, 0)
	}
	return appendNumber(b, t.UnixMicro())
}

// A Hasher hashes leaves. Its zero value is ready; it belongs to one goroutine.
type Hasher struct{ buf []byte }

// Hash returns the hash of a leaf (RFC 6962, 2.1): SHA-256 of a zero byte and its
// data.
func (h *Hasher) Hash(l *Leaf) tlog.Hash {
	h.buf = l.append(append(h.buf[:0], 0))
	return sha256.Sum256(h.buf)
}

// Hash is Hasher.Hash, for one.
func (l *Leaf) Hash() tlog.Hash { return new(Hasher).Hash(l) }

// A Serial is a serial number, in hexadecimal in text.
type Serial pki.Serial

// MarshalText writes the serial as pki.Serial prints it.
func (s Serial) MarshalText() ([]byte, error) { return []byte(pki.Serial(s).String()), nil }

// UnmarshalText reads what MarshalText writes.
func (s *Serial) UnmarshalText(text []byte) error {
	serial, err := pki.ParseSerial(string(text))
	*s = Serial(serial)
	return err
}

// A Digest is a SHA-256, in hexadecimal in text.
type Digest [32]byte

// MarshalText writes 64 hexadecimal digits.
func (d Digest) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, d[:]), nil }

// UnmarshalText reads what MarshalText writes.
func (d *Digest) UnmarshalText(text []byte) error {
	if len(text) != hex.EncodedLen(len(d)) {
		return pki.Errorf(pki.Malformed, "a SHA-256 has 64 hexadecimal digits")
	}
	_, err := hex.Decode(d[:], text)
	return err
}
