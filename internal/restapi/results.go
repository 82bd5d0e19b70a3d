package restapi

import (
	"bufio"
	"io"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"

	"github.com/pando-pki/pando/client"
	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/batch"
	"github.com/pando-pki/pando/internal/pki"
)

// batchResults serves GET /batches/{id}/results: the ends of rows in input
// order, up to the first row that has none yet. An answer that cannot be
// finished is cut, so that it does not look complete.
func (s *server) batchResults(w http.ResponseWriter, r *http.Request, g access.Permit) error {
	after, format, status, err := readResultsQuery(r)
	if err != nil {
		return err
	}
	stream := newStream(w)
	defer stream.End()
	out := bufio.NewWriterSize(stream, 32<<10)
	if format == batch.Zip {
		return s.resultsZip(out, w, r, g, after)
	}
	write, media := writeResultJSON, mediaNDJSON
	if format == batch.PEM {
		write, media = resultPEMWriter(), mediaPEMFile
	}
	begun := false
	for row, err := range s.cfg.Batch.Results(r.Context(), g, pki.BatchID(r.PathValue("id")), after) {
		if err != nil && !begun {
			return err
		}
		if err == nil {
			w.Header().Set("Content-Type", media)
			if status == "" || status == statusOf(&row) {
				err = write(out, &row)
			}
		}
		if err != nil {
			s.cut(r, err)
		}
		begun = true
	}
	w.Header().Set("Content-Type", media)
	if err := out.Flush(); err != nil {
		s.cut(r, err)
	}
	return nil
}

// resultsZip is batchResults as a zip archive.
func (s *server) resultsZip(out *bufio.Writer, w http.ResponseWriter, r *http.Request, g access.Permit, after int64) error {
	w.Header().Set("Content-Type", mediaZip)
	began := &counter{w: out}
	err := s.cfg.Batch.Archive(r.Context(), g, pki.BatchID(r.PathValue("id")), after, began)
	if err != nil && began.n == 0 {
		return err
	}
	if err == nil {
		err = out.Flush()
	}
	if err != nil {
		s.cut(r, err)
	}
	return nil
}

// counter counts what is written.
type counter struct {
	w io.Writer
	n int64
}

// Write writes.
func (c *counter) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.n += int64(n)
	return n, err
}

// cut logs why an answer ends early, and ends the connection.
func (s *server) cut(r *http.Request, err error) {
	s.report(r.Context(), err)
	panic(http.ErrAbortHandler)
}

// rowStatuses are the ends that a row may have.
var rowStatuses = []string{client.RowIssued, client.RowRefused, client.RowCancelled, client.RowArchived}

func readResultsQuery(r *http.Request) (after int64, format batch.Format, status string, err error) {
	q, err := readQuery(r, "after", "format", "status")
	if err != nil {
		return 0, "", "", err
	}
	status = q.Get("status")
	switch {
	case status != "" && !slices.Contains(rowStatuses, status):
		return 0, "", "", pki.Errorf(pki.Malformed, "status %.20q: it is %s", status, strings.Join(rowStatuses, ", "))
	case status != "" && q.Get("format") == string(batch.Zip):
		return 0, "", "", pki.Errorf(pki.Malformed, "status: an archive has all rows; ask for %s or %s", batch.NDJSON, batch.PEM)
	}
	if text := q.Get("after"); text != "" {
		if after, err = strconv.ParseInt(text, 10, 64); err != nil || after < 0 {
			return 0, "", "", pki.Errorf(pki.Malformed, "after %.20q: it is the number of a row", text)
		}
	}
	switch format = batch.Format(q.Get("format")); format {
	case "":
		return after, batch.NDJSON, status, nil
	case batch.NDJSON, batch.PEM, batch.Zip:
		return after, format, status, nil
	}
	return 0, "", "", pki.Errorf(pki.Malformed, "format %.20q: it is %s, %s or %s", format, batch.NDJSON, batch.PEM, batch.Zip)
}

func batchResultsDoc() document {
	return document{
		id: "get-batch-results", summary: "Get the ends of rows, in input order",
		description: "It may be asked while the batch runs: the answer stops at the first row that has no end yet, and after says where to go on. " +
			"In PEM, a comment before each certificate says its row (and for a retry the row of the file uploaded at first) and device; refused and cancelled rows are comments alone. " +
			"In zip, each certificate is a file named after its device, and index.csv lists all rows with their files.",
		query: params(
			parameter("after", "integer", "Leave out the rows up to this one. Default: 0."),
			parameter("status", "string", "Only rows that ended so, in ndjson or pem. Default: all.", client.RowIssued, client.RowRefused, client.RowCancelled, client.RowArchived),
			parameter("format", "string", "Default: ndjson.", "ndjson", "pem", "zip"),
		),
		status:   http.StatusOK,
		response: []media{{mediaNDJSON, reflect.TypeFor[client.Result]()}, {mediaPEMFile, nil}, {mediaZip, nil}},
	}
}

// statusOf returns how a row ended.
func statusOf(r *batch.Result) string {
	switch {
	case r.Certificate != nil:
		return client.RowIssued
	case r.Archive != "":
		return client.RowArchived
	case r.Refusal != nil:
		return client.RowRefused
	default:
		return client.RowCancelled
	}
}

func wireResult(r *batch.Result) client.Result {
	out := client.Result{Row: r.Row, OriginRow: r.Origin, PairRow: r.PairRow, Device: string(r.Device), Status: statusOf(r)}
	switch out.Status {
	case client.RowIssued:
		out.Issuer, out.Serial = string(r.Certificate.Issuer), r.Certificate.Serial.String()
		out.Certificate = certificatePEM(r.Certificate.DER)
	case client.RowArchived:
		out.Archive = r.Archive
	case client.RowRefused:
		out.Kind, out.Reason = r.Refusal.Kind.String(), r.Refusal.Reason
	}
	return out
}

func writeResultJSON(w io.Writer, r *batch.Result) error {
	if err := json.MarshalWrite(w, wireResult(r)); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

// resultPEMWriter returns a function that writes rows as appendResultPEM has them. All
// use the same memory.
func resultPEMWriter() func(io.Writer, *batch.Result) error {
	var text []byte
	return func(w io.Writer, r *batch.Result) error {
		text = appendResultPEM(text[:0], r)
		_, err := w.Write(text)
		return err
	}
}

// appendResultPEM appends a row as explanatory text (RFC 7468, 5.2) and, where it
// was issued, its certificate.
func appendResultPEM(dst []byte, r *batch.Result) []byte {
	dst = strconv.AppendInt(append(dst, "# row "...), r.Row, 10)
	if r.Origin != 0 {
		dst = strconv.AppendInt(append(dst, " origin "...), r.Origin, 10)
	}
	if r.Device != "" {
		dst = append(append(dst, " device "...), oneLine(string(r.Device))...)
	}
	switch statusOf(r) {
	case client.RowIssued:
		return appendCertificatePEM(append(dst, '\n'), r.Certificate.DER)
	case client.RowRefused:
		dst = append(append(dst, " refused: "...), oneLine(r.Refusal.Kind.String()+": "+r.Refusal.Reason)...)
	case client.RowArchived:
		dst = append(append(dst, " issued, expired and archived: "...), oneLine(r.Archive)...)
	case client.RowCancelled:
		dst = append(dst, " cancelled"...)
	}
	return append(dst, '\n')
}

// oneLine keeps a comment from being taken for anything else: it has no line
// breaks, and no dashes as PEM has around its labels.
func oneLine(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
	return strings.ReplaceAll(s, "-----", "- - -")
}
