package restapi

import (
	"bufio"
	"encoding/csv"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2/negotiation"
	"github.com/go-json-experiment/json"

	"github.com/pando-pki/pando/client"
	"github.com/pando-pki/pando/internal/registry"
)

// accepted returns the format of export that a request accepts, or "" for JSON.
func accepted(r *http.Request) string {
	switch negotiation.SelectQValueFast(r.Header.Get("Accept"), []string{mediaJSON, mediaNDJSON, mediaCSV}) {
	case mediaNDJSON:
		return "ndjson"
	case mediaCSV:
		return "csv"
	}
	return ""
}

// A column is one of a CSV export.
type column[T any] struct {
	name string
	of   func(*T) string
}

// exportPage is how many rows an export holds at once.
const exportPage = 500

// export answers with all that a search finds, page by page, as a stream; no
// more than the paging's limit where there is one. An answer that cannot be
// finished is cut, so that it does not look complete; the cursor of its last row
// goes on from there.
func export[T any](s *server, w http.ResponseWriter, r *http.Request, format string, p registry.Paging, columns []column[T],
	find func(registry.Paging) ([]T, string, error)) error {
	w.Header().Set("Vary", "Accept")
	stream := newStream(w)
	defer stream.End()
	out := bufio.NewWriterSize(stream, 32<<10)
	write, media := ndjsonWriter[T](out), mediaNDJSON
	if format == "csv" {
		write, media = csvWriter(out, columns), mediaCSV+"; charset=utf-8; header=present"
	}
	for left, begun := p.Limit, false; ; begun = true {
		part := registry.Paging{Cursor: p.Cursor, Limit: exportPage}
		if left > 0 {
			part.Limit = min(left, exportPage)
		}
		items, next, err := find(part)
		if err != nil && !begun {
			return err
		}
		if !begun {
			w.Header().Set("Content-Type", media)
			if format == "csv" {
				err = write(nil)
			}
		}
		for i := range items {
			if err == nil {
				err = write(&items[i])
			}
		}
		if err == nil {
			err = out.Flush()
		}
		if err != nil {
			s.cut(r, err)
		}
		left -= len(items)
		if next == "" || p.Limit > 0 && left == 0 {
			return nil
		}
		p.Cursor = next
	}
}

// ndjsonWriter returns a function that writes an object on a line.
func ndjsonWriter[T any](out *bufio.Writer) func(*T) error {
	return func(item *T) error {
		if err := json.MarshalWrite(out, item); err != nil {
			return err
		}
		return out.WriteByte('\n')
	}
}

// csvWriter returns a function that writes a row, or the header for nil.
func csvWriter[T any](out *bufio.Writer, columns []column[T]) func(*T) error {
	records := csv.NewWriter(out)
	return func(item *T) error {
		record := make([]string, len(columns))
		for i, c := range columns {
			record[i] = c.name
			if item != nil {
				record[i] = inert(c.of(item))
			}
		}
		if err := records.Write(record); err != nil {
			return err
		}
		records.Flush() // into out, which flushes itself
		return records.Error()
	}
}

// inert keeps a spreadsheet from taking a field for a formula: one that begins
// as a formula does gets an apostrophe in front.
func inert(field string) string {
	if field != "" && strings.ContainsRune("=+-@\t\r", rune(field[0])) {
		return "'" + field
	}
	return field
}

func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

func certificateColumns() []column[client.Certificate] {
	type c = *client.Certificate
	return []column[client.Certificate]{
		{"issuer", func(x c) string { return x.Issuer }}, {"serial", func(x c) string { return x.Serial }},
		{"device", func(x c) string { return x.Device }}, {"product_line", func(x c) string { return x.ProductLine }},
		{"lot", func(x c) string { return x.Lot }}, {"site", func(x c) string { return x.Site }},
		{"profile", func(x c) string { return x.Profile.Name }}, {"profile_version", func(x c) string { return strconv.Itoa(x.Profile.Version) }},
		{"batch", func(x c) string { return x.Batch }}, {"row", func(x c) string {
			if x.Row == 0 {
				return ""
			}
			return strconv.FormatInt(x.Row, 10)
		}},
		{"not_before", func(x c) string { return moment(x.NotBefore) }}, {"not_after", func(x c) string { return moment(x.NotAfter) }},
		{"issued", func(x c) string { return moment(x.Issued) }}, {"fingerprint", func(x c) string { return x.Fingerprint }},
		{"status", func(x c) string { return x.Status.State }}, {"reason", func(x c) string { return x.Status.Reason }},
		{"revoked_at", func(x c) string { return moment(x.Status.At) }}, {"cursor", func(x c) string { return x.Cursor }},
		{"owner", func(x c) string { return x.Owner }},
	}
}

func deviceColumns() []column[client.Device] {
	type d = *client.Device
	return []column[client.Device]{
		{"device", func(x d) string { return x.Device }}, {"state", func(x d) string { return x.State }},
		{"product_line", func(x d) string { return x.ProductLine }}, {"lot", func(x d) string { return x.Lot }},
		{"site", func(x d) string { return x.Site }}, {"created", func(x d) string { return moment(x.Created) }},
		{"updated", func(x d) string { return moment(x.Updated) }}, {"cursor", func(x d) string { return x.Cursor }},
		{"owner", func(x d) string { return x.Owner }},
	}
}
