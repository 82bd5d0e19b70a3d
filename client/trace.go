package client

import (
	"context"
	"time"
)

// A Trace is all that is known of one certificate.
type Trace struct {
	Certificate Certificate       `json:"certificate"`
	CSR         string            `json:"csr,omitempty" doc:"The PKCS#10 request as it was submitted, in PEM, but with asterisks for the characters of a challengePassword: its signature does not verify then. Absent where it is not kept."`
	CSRGone     string            `json:"csr_gone,omitempty" doc:"Why the csr is absent, of a batch whose rows an earlier version dropped."`
	By          string            `json:"by,omitempty" doc:"Who asked for it; absent where that is not kept."`
	Batch       *Batch            `json:"batch,omitempty" doc:"The batch that it came from."`
	Earlier     []Attempt         `json:"earlier,omitempty" doc:"Of a row of a retry: where the row was refused before, the last time first, up to the file that was uploaded or 20 retries back; it ends before a batch that the token may not see."`
	Approved    *Change           `json:"approved,omitempty" doc:"The change by which it, or its batch, was approved; absent where nobody had to, or the token may not read approvals there."`
	Chain       []string          `json:"chain" doc:"PEM of the issuer's certificate and those above it, with the root."`
	Device      *Device           `json:"device,omitempty" doc:"As it is now."`
	Lot         *Lot              `json:"lot,omitempty" doc:"That it was issued in, as it is now."`
	Authority   string            `json:"authority,omitempty" doc:"Name of the authority whose certificate it is; absent of any other certificate, and where the token may not see the authority."`
	Others      []Certificate     `json:"others" doc:"The device's other certificates, newest first."`
	MoreOthers  bool              `json:"more_others,omitzero" doc:"There are more than are shown."`
	Revocations []RevocationEntry `json:"revocations,omitempty" doc:"Its revocation entries, the first one first."`
	Jobs        []TracedJob       `json:"jobs,omitempty" doc:"The revocation jobs that made the entries, newest first, up to 20; without those that select what the token may not see, or of which that could only be told by a look at all that they select (a lot, a batch or an issuer, to a token that is limited)."`
	Events      []Event           `json:"events,omitempty" doc:"Acts on it, its device, its lot, its batch, those that refused its row before, its authority, and the jobs, newest first; absent where the token may not read events."`
	Log         *LogPlace         `json:"log,omitempty" doc:"Where it stands in the log of its issuer's tenant; absent until it has a place."`
}

// An Attempt is a row of a batch that refused what a retry then tried again.
type Attempt struct {
	Batch  Batch  `json:"batch"`
	Row    int64  `json:"row" doc:"From 1."`
	Kind   string `json:"kind,omitempty" doc:"The kind of problem for which it was refused." example:"not-ready"`
	Reason string `json:"reason,omitempty" doc:"What was wrong."`
}

// A RevocationEntry is one entry of a certificate: the one with the highest
// number holds, and removeFromCRL releases a hold.
type RevocationEntry struct {
	N          int       `json:"n" doc:"From 1."`
	Reason     string    `json:"reason"`
	At         time.Time `json:"at"`
	Job        string    `json:"job,omitempty" doc:"Id of the revocation job of the tenant that made it; absent where none did."`
	JobUnknown string    `json:"job_unknown,omitempty" doc:"Why it is not known whether a job made it, and which."`
}

// A TracedJob is a revocation job that made an entry of a certificate.
type TracedJob struct {
	Job      RevocationJob `json:"job"`
	Approved *Change       `json:"approved,omitempty" doc:"The change by which it was approved; absent where nobody had to, or the token may not read approvals there."`
}

// A LogPlace is where a certificate stands in a log.
type LogPlace struct {
	Index  int64 `json:"index" doc:"From 0."`
	Signed int64 `json:"signed" doc:"Size of the log at its newest signed checkpoint, which covers the certificate where it is above the index."`
}

// TraceCertificate tells all that is known of a certificate. The issuer is its id,
// or "" where one alone has the serial.
func (c *Client) TraceCertificate(ctx context.Context, issuer, serial string) (*Trace, error) {
	return get[Trace](ctx, c, certificatePath(issuer, serial)+"/trace", nil)
}
