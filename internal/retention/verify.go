package retention

import (
	"crypto/sha256"
	"fmt"
	"io"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/pando-pki/pando/internal/audit"
)

// Verified is what was made of an object offline.
type Verified struct {
	Header
	SHA256   audit.Digest  `json:"sha256"`
	Logged   int64         `json:"logged"` // certificates that are in the export as they are here
	Log      *audit.Report `json:"log,omitempty"`
	Total    int64         `json:"total_findings"`
	Findings []string      `json:"findings"` // the first audit.MaxFindings
}

// OK reports whether nothing is wrong.
func (v *Verified) OK() bool { return v.Total == 0 }

func (v *Verified) addf(format string, args ...any) {
	v.Total++
	if len(v.Findings) < audit.MaxFindings {
		v.Findings = append(v.Findings, fmt.Sprintf(format, args...))
	}
}

// Verify reads an object and holds it against an export of the log, which is verified
// with it: each certificate must be what was logged at its place, and the event that
// recorded the archive must name this object. Without an export, which nil is, the
// object alone is looked at. An error means that one of the two is none.
func Verify(object []byte, export io.Reader, cfg audit.VerifyConfig) (*Verified, error) {
	o, err := Decode(object)
	if err != nil {
		return nil, err
	}
	v := &Verified{Header: o.Header, SHA256: sha256.Sum256(object), Findings: []string{}}
	if export == nil {
		return v, nil
	}
	waiting := make(map[int64]*Entry, len(o.Entries))
	for i := range o.Entries {
		waiting[o.Entries[i].Index] = &o.Entries[i]
	}
	recorded := false
	cfg.OnEntry = func(e *audit.Entry, logged tlog.Hash) {
		if mine := waiting[e.Index]; mine != nil {
			delete(waiting, e.Index)
			if mine.Hash() != logged {
				v.addf("index %d: certificate %x is not what was logged there", e.Index, mine.Leaf.Serial)
				return
			}
			v.Logged++
		}
		if e.Event == nil || e.Event.Action != EventAction || e.Event.Target != Target(o.Archive) {
			return
		}
		recorded = true
		if m, err := ParseManifest(e.Event.Detail); err != nil || m.SHA256 != v.SHA256 || m.Certificates != int64(len(o.Entries)) {
			v.addf("index %d of the log recorded another object for this archive", e.Index)
		}
	}
	if v.Log, err = audit.Verify(export, cfg); err != nil {
		return nil, err
	}
	v.Total += v.Log.Total
	v.Findings = append(v.Findings, v.Log.Findings...)
	if !recorded {
		v.addf("the export does not say that this archive was written: export up to a later time")
	}
	if n := len(waiting); n > 0 || int64(len(o.Entries)) != v.Logged && v.OK() {
		v.addf("%d certificates have their places outside the export, or share one: export from an earlier time", len(o.Entries)-int(v.Logged))
	}
	return v, nil
}
