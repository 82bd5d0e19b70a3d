package restapi

import (
	"context"
	"encoding/hex"
	"maps"
	"mime"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/pando-pki/pando/client"
	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/batch"
	"github.com/pando-pki/pando/internal/pki"
)

type batchInput struct {
	Caller
	ID string `path:"id"`
}

type batchesInput struct {
	Caller
	NewestFirst
}

// submitBatch serves POST /batches. The rows stream through: none is held here,
// and package batch bounds each.
func (s *server) submitBatch(w http.ResponseWriter, r *http.Request, g access.Permit) error {
	n, err := readSubmission(r)
	if err != nil {
		return err
	}
	b, err := s.cfg.Batch.Submit(r.Context(), g, n, slowly(w, r.Body))
	if err != nil {
		return err
	}
	w.Header().Set("Location", prefix+"/batches/"+string(b.ID))
	return writeJSON(w, http.StatusAccepted, wireBatch(b))
}

func readSubmission(r *http.Request) (batch.Submission, error) {
	var n batch.Submission
	q, err := readQuery(r, "endpoint", "pair_endpoint", "dry_run", "product_line", "lot", "site")
	if err != nil {
		return n, err
	}
	if n.Format, err = uploadFormat(r.Header.Get("Content-Type")); err != nil {
		return n, err
	}
	if text := q.Get("dry_run"); text != "" {
		if n.DryRun, err = strconv.ParseBool(text); err != nil {
			return n, pki.Errorf(pki.Malformed, "dry_run %.20q: it is true or false", text)
		}
	}
	n.Idempotency = r.Header.Get(idempotencyHeader)
	if n.Endpoint = q.Get("endpoint"); n.Endpoint == "" {
		return n, pki.Errorf(pki.Malformed, "endpoint: say where the rows are to be enrolled")
	}
	n.Pair = q.Get("pair_endpoint")
	n.Defaults = pki.Placement{ProductLine: q.Get("product_line"), Lot: q.Get("lot"), Site: q.Get("site")}
	return n, nil
}

// uploads are the media types of rows.
var uploads = map[string]batch.Format{
	mediaPEMFile: batch.PEM,
	mediaNDJSON:  batch.NDJSON,
	mediaCSV:     batch.CSV,
	mediaGzip:    batch.TarGz,
	mediaZip:     batch.Zip,
}

func uploadFormat(contentType string) (batch.Format, error) {
	media, params, _ := mime.ParseMediaType(contentType)
	format, ok := uploads[media]
	if !ok {
		return "", pki.Errorf(pki.Malformed, "content type %.60q: rows are one of %s", media, strings.Join(slices.Sorted(maps.Keys(uploads)), ", "))
	}
	if charset := params["charset"]; charset != "" && !strings.EqualFold(charset, "utf-8") {
		return "", pki.Errorf(pki.Malformed, "charset %.20q: text is UTF-8", charset)
	}
	return format, nil
}

func submitBatchDoc() document {
	return document{
		id: "submit-batch", summary: "Submit a batch",
		description: "The rows are streamed, of any number: PKCS#10 requests in PEM, one after another; or one JSON object a line with csr (PEM, or DER in base64) and, where wanted, device, product_line, lot, site and attributes; " +
			"or CSV whose header names columns csr, device, product_line, lot, site and attributes.NAME; or a tar archive in gzip, or a zip archive, of requests in PEM or DER, whose file names without .csr, .pem or .der are the devices. " +
			"With pair_endpoint each device has two requests, for both certificates of a pair: csr and pair_csr in JSON and CSV, DEVICE.csr and DEVICE.pair.csr in archives; not in PEM. It has two rows then, one after the other, and both are issued or neither. " +
			"Where a row names no device, it is the subject's serialNumber, else its CN. The same file under the same idempotency key is the same batch.",
		query: params(
			required(parameter("endpoint", "string", "Label, or name within the tenant.")),
			parameter("pair_endpoint", "string", "Of the second certificate of each device, in a batch of pairs: label, or name. The profiles of both endpoints name each other."),
			parameter("dry_run", "boolean", "Check every row, sign nothing, and wait to be issued."),
			parameter("product_line", "string", "Of rows that say nothing."),
			parameter("lot", "string", "Of rows that say nothing."),
			parameter("site", "string", "Of rows that say nothing."),
		),
		idempotent: true,
		request:    []media{{mediaPEMFile, nil}, {mediaNDJSON, nil}, {mediaCSV, nil}, {mediaGzip, nil}, {mediaZip, nil}},
		status:     http.StatusAccepted,
		response:   []media{{mediaJSON, reflect.TypeFor[client.Batch]()}},
	}
}

func (s *server) listBatches(ctx context.Context, g access.Permit, in *batchesInput) (*listOf[client.Batch], error) {
	batches, err := s.cfg.Batch.Batches(ctx, g, pki.BatchID(in.Before), in.Limit)
	if err != nil {
		return nil, err
	}
	next := ""
	if len(batches) == in.Limit {
		next = string(batches[len(batches)-1].ID)
	}
	return each(batches, next, wireBatch), nil
}

func (s *server) getBatch(ctx context.Context, g access.Permit, in *batchInput) (*answer[client.Batch], error) {
	return batchAnswer(s.cfg.Batch.Batch(ctx, g, pki.BatchID(in.ID)))
}

func (s *server) issueBatch(ctx context.Context, g access.Permit, in *batchInput) (*answer[client.Batch], error) {
	return batchAnswer(s.cfg.Batch.Issue(ctx, g, pki.BatchID(in.ID)))
}

func (s *server) pauseBatch(ctx context.Context, g access.Permit, in *batchInput) (*answer[client.Batch], error) {
	return batchAnswer(s.cfg.Batch.Pause(ctx, g, pki.BatchID(in.ID)))
}

func (s *server) resumeBatch(ctx context.Context, g access.Permit, in *batchInput) (*answer[client.Batch], error) {
	return batchAnswer(s.cfg.Batch.Resume(ctx, g, pki.BatchID(in.ID)))
}

func (s *server) cancelBatch(ctx context.Context, g access.Permit, in *batchInput) (*answer[client.Batch], error) {
	return batchAnswer(s.cfg.Batch.Cancel(ctx, g, pki.BatchID(in.ID)))
}

type retryInput struct {
	Caller
	ID             string `path:"id"`
	IdempotencyKey string `header:"Idempotency-Key" maxLength:"128" doc:"Makes the same retry the same batch, however often it is sent."`
	Body           client.Retry
}

func (s *server) retryBatch(ctx context.Context, g access.Permit, in *retryInput) (*answer[client.Batch], error) {
	var kinds []pki.Kind
	for _, name := range in.Body.Kinds {
		kind := pki.ParseKind(name)
		if kind.String() != name {
			return nil, pki.Errorf(pki.Malformed, "kinds: there is no kind %.40q of refusal; there are %s", name, strings.Join(pki.Refusals(), ", "))
		}
		kinds = append(kinds, kind)
	}
	return batchAnswer(s.cfg.Batch.Retry(ctx, g, pki.BatchID(in.ID), kinds, in.IdempotencyKey))
}

func batchAnswer(b *batch.Batch, err error) (*answer[client.Batch], error) {
	if err != nil {
		return nil, err
	}
	return &answer[client.Batch]{wireBatch(b)}, nil
}

func wireBatch(b *batch.Batch) client.Batch {
	w := client.Batch{
		ID: string(b.ID), Endpoint: b.Endpoint, Authority: string(b.Authority), Profile: wireProfileRef(b.Profile),
		ProductLine: b.Defaults.ProductLine, Lot: b.Defaults.Lot, Site: b.Defaults.Site, DryRun: b.DryRun,
		State: string(b.State), By: b.By, Created: b.Created, Started: b.Started, Finished: b.Finished,
		StoppedBy: b.StoppedBy, Why: b.Why, Needs: b.Needs, Change: string(b.Change),
		RetryOf: string(b.RetryOf), RetryKinds: b.RetryKinds, Rows: b.Rows, Checked: b.Checked, Issued: b.Issued, Refused: b.Refused, Cancelled: b.Cancelled,
	}
	if b.PairEndpoint != "" {
		w.PairEndpoint, w.PairProfile = b.PairEndpoint, new(wireProfileRef(b.PairProfile))
	}
	if b.State != batch.Uploading {
		w.Digest = hex.EncodeToString(b.Digest[:])
	}
	return w
}
