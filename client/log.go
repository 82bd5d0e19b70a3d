package client

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// A Checkpoint is what the audit log was at a moment, signed.
type Checkpoint struct {
	Checkpoint string `json:"checkpoint" doc:"A signed note: origin, size, root and time, and the signature of the log's key."`
	Key        string `json:"key" doc:"The key that verifies it, as Go's sumdb/note writes it. Keep it, and compare it."`
}

// Checkpoint returns the newest checkpoint of the audit log.
func (c *Client) Checkpoint(ctx context.Context) (*Checkpoint, error) {
	return get[Checkpoint](ctx, c, "/log/checkpoint", nil)
}

// CertificateProof returns the document that proves that a certificate is in the
// audit log, for 'pando audit prove --file'.
func (c *Client) CertificateProof(ctx context.Context, issuer, serial string) ([]byte, error) {
	return c.read(ctx, call{method: http.MethodGet, path: certificatePath(issuer, serial) + "/proof"})
}

// EventProof returns the document that proves that an event is in the audit log.
func (c *Client) EventProof(ctx context.Context, id string) ([]byte, error) {
	return c.read(ctx, call{method: http.MethodGet, path: "/events/" + url.PathEscape(id) + "/proof"})
}

// ConsistencyProof returns the document that proves that the log with to entries,
// 0 for all, begins with that of from entries.
func (c *Client) ConsistencyProof(ctx context.Context, from, to int64) ([]byte, error) {
	q := url.Values{"from": {strconv.FormatInt(from, 10)}}
	if to != 0 {
		q.Set("to", strconv.FormatInt(to, 10))
	}
	return c.read(ctx, call{method: http.MethodGet, path: "/log/consistency", query: q})
}

// ExportLog returns the audit log of a period as a stream, for 'pando audit
// verify'; a zero time is no bound. The caller closes it; one that breaks off is
// incomplete, which the verifier finds.
func (c *Client) ExportLog(ctx context.Context, since, until time.Time) (io.ReadCloser, error) {
	q := url.Values{}
	for name, t := range map[string]time.Time{"since": since, "until": until} {
		if !t.IsZero() {
			q.Set(name, t.UTC().Format(time.RFC3339))
		}
	}
	return c.open(ctx, call{method: http.MethodGet, path: "/log/export", query: q, accept: "application/x-ndjson"})
}
