package restapi

import (
	"bufio"
	"context"
	"net/http"
	"net/url"
	"reflect"
	"strconv"
	"time"

	"github.com/pando-pki/pando/client"
	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/audit"
	"github.com/pando-pki/pando/internal/pki"
)

func (s *server) checkpoint(ctx context.Context, g access.Permit, _ *nothing) (*answer[client.Checkpoint], error) {
	note, key, err := s.cfg.Log.Checkpoint(ctx, g)
	if err != nil {
		return nil, err
	}
	return &answer[client.Checkpoint]{client.Checkpoint{Checkpoint: note, Key: key}}, nil
}

// certificateProof serves GET /certificates/{issuer}/{serial}/proof.
func (s *server) certificateProof(w http.ResponseWriter, r *http.Request, g access.Permit) error {
	if _, err := readQuery(r); err != nil {
		return err
	}
	issuer, serial, err := s.readName(r, g)
	if err != nil {
		return err
	}
	p, err := s.cfg.Log.ProveCertificate(r.Context(), g, issuer, serial)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, p)
}

// eventProof serves GET /events/{id}/proof.
func (s *server) eventProof(w http.ResponseWriter, r *http.Request, g access.Permit) error {
	if _, err := readQuery(r); err != nil {
		return err
	}
	p, err := s.cfg.Log.ProveEvent(r.Context(), g, r.PathValue("id"))
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, p)
}

const proofDescription = "The leaf, the hashes from it to the root of a signed checkpoint (RFC 6962, 2.1.1), the checkpoint and its key: " +
	"what 'pando audit prove --file' verifies without this server. not-ready in the second before a checkpoint covers it."

func certificateProofDoc() document {
	return document{id: "prove-certificate", summary: "Prove that a certificate is in the log", description: proofDescription, path: certificatePathDoc(),
		status: http.StatusOK, response: []media{{mediaJSON, reflect.TypeFor[audit.Inclusion]()}}}
}

func eventProofDoc() document {
	return document{id: "prove-event", summary: "Prove that an event is in the log", description: proofDescription,
		status: http.StatusOK, response: []media{{mediaJSON, reflect.TypeFor[audit.Inclusion]()}}}
}

// consistencyProof serves GET /log/consistency.
func (s *server) consistencyProof(w http.ResponseWriter, r *http.Request, g access.Permit) error {
	q, err := readQuery(r, "from", "to")
	if err != nil {
		return err
	}
	from, err := readCount(q, "from", 0)
	if err != nil {
		return err
	}
	to, err := readCount(q, "to", 0)
	if err != nil {
		return err
	}
	p, err := s.cfg.Log.ProveConsistency(r.Context(), g, from, to)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, p)
}

func consistencyProofDoc() document {
	return document{
		id: "prove-consistency", summary: "Prove that the log begins with what it was",
		description: "The hashes with which the roots of two trees are computed (RFC 6962, 2.1.2).",
		query: params(required(parameter("from", "integer", "Size of the smaller tree.")),
			parameter("to", "integer", "Size of the larger one. Default: that of the newest checkpoint.")),
		status: http.StatusOK, response: []media{{mediaJSON, reflect.TypeFor[audit.Consistency]()}},
	}
}

// maxEntries bounds a page of entries.
const maxEntries = 1000

// logPage is a page of entries.
type logPage struct {
	Items []audit.Entry `json:"items"`
	Next  int64         `json:"next,omitempty" doc:"The index of the next page; absent on the last."`
}

// logEntries serves GET /log/entries.
func (s *server) logEntries(w http.ResponseWriter, r *http.Request, g access.Permit) error {
	q, err := readQuery(r, "from", "limit")
	if err != nil {
		return err
	}
	from, err := readCount(q, "from", 0)
	if err != nil {
		return err
	}
	limit, err := readCount(q, "limit", 100)
	if err != nil {
		return err
	}
	if limit < 1 || limit > maxEntries {
		return pki.Errorf(pki.Malformed, "limit %d: it is 1 to %d", limit, maxEntries)
	}
	entries, next, err := s.cfg.Log.Entries(r.Context(), g, from, int(limit))
	if err != nil {
		return err
	}
	if entries == nil {
		entries = []audit.Entry{}
	}
	return writeJSON(w, http.StatusOK, logPage{entries, next})
}

func logEntriesDoc() document {
	return document{
		id: "list-log-entries", summary: "List entries of the log, in its order",
		description: "An entry whose leaf the store has no more, or other than it was logged, has logged_hash. That of a certificate that is archived is from its archive, which it names.",
		query: params(parameter("from", "integer", "The first index. Default: 0."),
			parameter("limit", "integer", "How many at most, 1 to 1000. Default: 100.")),
		status: http.StatusOK, response: []media{{mediaJSON, reflect.TypeFor[logPage]()}},
	}
}

// exportLog serves GET /log/export. An answer that cannot be finished is cut.
func (s *server) exportLog(w http.ResponseWriter, r *http.Request, g access.Permit) error {
	q, err := readQuery(r, "since", "until")
	if err != nil {
		return err
	}
	since, err := readTime(q, "since")
	if err != nil {
		return err
	}
	until, err := readTime(q, "until")
	if err != nil {
		return err
	}
	export, err := s.cfg.Log.Export(r.Context(), g, since, until)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", mediaNDJSON)
	stream := newStream(w)
	defer stream.End()
	began := &counter{w: stream}
	out := bufio.NewWriterSize(began, 32<<10)
	if err := export.Write(r.Context(), out); err != nil {
		if began.n == 0 {
			return err
		}
		s.cut(r, err)
	}
	if err := out.Flush(); err != nil {
		s.cut(r, err)
	}
	return nil
}

func exportLogDoc() document {
	return document{
		id: "export-log", summary: "Export the log, or the part of a period",
		description: "Lines of JSON with every entry, the checkpoints that went to anchors, and the newest one: what 'pando audit verify' needs, and nothing else. " +
			"It begins and ends where such a checkpoint does, minutes before and after the period: the time of an entry says what belongs to it.",
		query: params(parameter("since", "string", "From this time on, RFC 3339. Default: the beginning."),
			parameter("until", "string", "Up to this time, RFC 3339. Default: now.")),
		status: http.StatusOK, response: []media{{mediaNDJSON, nil}},
	}
}

// readCount reads a number of a query that is not negative.
func readCount(q url.Values, name string, otherwise int64) (int64, error) {
	text := q.Get(name)
	if text == "" {
		return otherwise, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 {
		return 0, pki.Errorf(pki.Malformed, "%s %.20q: it is a number", name, text)
	}
	return n, nil
}

// readTime reads a time of a query; zero where there is none.
func readTime(q url.Values, name string) (time.Time, error) {
	text := q.Get(name)
	if text == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, pki.Errorf(pki.Malformed, "%s %.40q: write a time as 2026-03-01T00:00:00Z", name, text)
	}
	return t, nil
}
