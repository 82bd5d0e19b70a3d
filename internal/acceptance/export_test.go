//go:build system

package acceptance

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pando-pki/pando/client"
	"github.com/pando-pki/pando/internal/audit"
)

// mostClientMemory is what a command may have in memory at most that writes or verifies an
// export, however large.
const mostClientMemory = 128 << 20

// TestExports exports a large lot's certificates and the audit log while another batch is
// being issued: whole, in both formats; cut off and gone on with; to a reader that rests;
// and cut off and begun anew. Each export has what was issued, once, an auditor finds nothing
// wrong, and neither the server nor a command needs more memory than for a small lot.
func TestExports(t *testing.T) {
	rows := 100_000
	if testing.Short() {
		rows = 6_000
	}
	random := seeded(t)
	h := newHouse(t, 2)
	h.serve(t)
	dir := t.TempDir()
	batch := func(prefix, lot string, rows int) *client.Batch {
		t.Helper()
		file := filepath.Join(dir, prefix+".pem")
		if out := pando(t, "simulate", "csrs", "--devices", strconv.Itoa(rows), "--prefix", prefix, "--out", file); out.status != 0 {
			t.Fatalf("simulate csrs: %s", out.stderr)
		}
		out := pando(t, "--quickstart", h.dir, "--json", "batch", "submit", file, "--endpoint", "meter", "--lot", lot)
		b := new(client.Batch)
		if err := json.Unmarshal([]byte(out.stdout), b); err != nil {
			t.Fatalf("batch submit: %v: %s", err, out.stderr)
		}
		return b
	}
	first := batch("EXPORT-", "exported", rows)
	begun := time.Now()
	h.until(t, first.ID, int64(rows))
	rate(t, "rows issued", rows, time.Since(begun))
	other := batch("OTHER-", "other", rows)

	// Whole.
	export := func(out string) []string {
		return []string{"--quickstart", h.dir, "cert", "export", "--lot", "exported", "--out", out}
	}
	serials := make(map[string][]string)
	for _, format := range []string{"ndjson", "csv"} {
		path := filepath.Join(dir, "whole."+format)
		begun := time.Now()
		h.measured(t, export(path)...)
		rate(t, "rows exported as "+format, rows, time.Since(begun))
		serials[format], _ = exported(t, path, format)
		if n := len(slices.Compact(slices.Sorted(slices.Values(serials[format])))); n != rows || len(serials[format]) != rows {
			t.Errorf("the export as %s has %d rows of %d certificates, want %d", format, len(serials[format]), n, rows)
		}
	}
	if !slices.Equal(serials["ndjson"], serials["csv"]) {
		t.Error("the exports have other certificates, or another order")
	}

	// Cut off again and again, and gone on with after the last row that came.
	var got []string
	cursor := ""
	for cuts := 0; len(got) < rows; cuts++ {
		part, last := h.part(t, filepath.Join(dir, "part"), cursor, 1+random.IntN(rows/3))
		if len(part) == 0 {
			t.Fatalf("after %d rows and %d cuts nothing more comes", len(got), cuts)
		}
		got, cursor = append(got, part...), last
	}
	if !slices.Equal(got, serials["ndjson"]) {
		t.Errorf("the export in parts has %d rows, or others; want the %d of the whole", len(got), rows)
	}

	// To a reader that rests, longer than the server has buffers for.
	stream, err := h.as(t, "").ExportCertificates(t.Context(), client.CertificateQuery{Lot: "exported"}, "", client.NDJSON)
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	lines := bufio.NewScanner(stream)
	came := 0
	for lines.Scan() {
		if came++; came == rows/10 {
			time.Sleep(5 * time.Second)
		}
	}
	if err := lines.Err(); err != nil || came != rows {
		t.Errorf("the export to a slow reader has %d rows: %v", came, err)
	}

	// The log, cut off and begun anew; then verified.
	log := filepath.Join(dir, "log.ndjson")
	cut := start(t, filepath.Join(dir, "log"), os.Getenv(binaryVariable), "--quickstart", h.dir, "audit", "export", "--out", log)
	for begun := time.Now(); !grows(log); time.Sleep(time.Millisecond) {
		if time.Since(begun) > patience {
			t.Fatal("no export comes")
		}
	}
	cut.kill(t)
	if err := os.Remove(log); err != nil {
		t.Fatal(err)
	}
	report := h.audited(t, log)
	if report.Certificates < int64(rows) {
		t.Errorf("the log's export has %d certificates, want %d and more", report.Certificates, rows)
	}

	h.until(t, other.ID, int64(rows))
	h.mostMemory(t)
	h.stop(t)
	store := h.check(t, "")
	h.serve(t)
	// All that the tenant has, but what is of the platform.
	log = filepath.Join(dir, "all.ndjson")
	report = h.audited(t, log)
	if report.Certificates < int64(2*rows) || report.Certificates > store.Certificates+10 { // the server's own go on
		t.Errorf("the log's export has %d certificates, and the store %d", report.Certificates, store.Certificates)
	}
	t.Logf("the log's export has %d certificates, %d events; the store %d certificates; the server had %s in memory at most",
		report.Certificates, report.Events, store.Certificates, mib(h.mostMemory(t)))
	h.stop(t)
	h.check(t, "")
}

// grows reports whether a file has something in it.
func grows(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Size() > 0
}

// audited exports the log and has it verified, without the server's help.
func (h *house) audited(t *testing.T, log string) *audit.Report {
	t.Helper()
	begun := time.Now()
	h.measured(t, "--quickstart", h.dir, "audit", "export", "--out", log)
	exported := time.Since(begun)
	begun = time.Now()
	report := new(audit.Report)
	if err := json.Unmarshal([]byte(h.measured(t, "audit", "verify", log, "--json")), report); err != nil {
		t.Fatal(err)
	}
	rate(t, "entries of the log exported", int(report.To), exported)
	rate(t, "entries of the log verified", int(report.To), time.Since(begun))
	for _, f := range report.Findings {
		t.Errorf("audit verify: %s", f)
	}
	return report
}

// measured runs pando, which must succeed in bounded memory, and returns what it printed.
func (h *house) measured(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Getenv(binaryVariable), args...)
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	most := int64(0) // as it is told while it runs: what is told afterwards counts in this process, too
	for running := true; running; {
		select {
		case err := <-ended:
			if running = false; err != nil {
				t.Fatalf("%s: %v\n%s%s", strings.Join(args, " "), err, out.String(), errs.String())
			}
		case <-time.After(5 * time.Millisecond):
			if n, ok := memoryOf(t, cmd.Process.Pid, "VmHWM"); ok {
				most = n
			}
		}
	}
	t.Logf("%s: %s in memory at most", strings.Join(args, " "), mib(most))
	if most > mostClientMemory {
		t.Errorf("%s: %s in memory, want %s at most", strings.Join(args, " "), mib(most), mib(mostClientMemory))
	}
	return out.String()
}

// part exports certificates after a cursor to a pipe that is closed when so many rows came,
// and returns the serial numbers of the rows that came whole, and the last one's cursor.
func (h *house) part(t *testing.T, path, cursor string, most int) (serials []string, last string) {
	t.Helper()
	args := []string{"--quickstart", h.dir, "cert", "export", "--lot", "exported"}
	if cursor != "" {
		args = append(args, "--cursor", cursor)
	}
	cmd := exec.CommandContext(t.Context(), os.Getenv(binaryVariable), args...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	for range most {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			break
		}
		if _, err := f.Write(line); err != nil {
			t.Fatal(err)
		}
	}
	_ = cmd.Process.Kill() // in the middle, or at its end
	_ = cmd.Wait()
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return exported(t, path, "ndjson")
}

// exported returns the serial numbers of an export's rows, and the last one's cursor.
func exported(t *testing.T, path, format string) (serials []string, cursor string) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if format == "csv" {
		rows := csv.NewReader(f)
		head, err := rows.Read()
		if err != nil {
			t.Fatal(err)
		}
		for {
			row, err := rows.Read()
			if errors.Is(err, io.EOF) {
				return serials, cursor
			}
			if err != nil {
				t.Fatal(err)
			}
			serials, cursor = append(serials, row[slices.Index(head, "serial")]), row[slices.Index(head, "cursor")]
		}
	}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var row struct{ Serial, Cursor string }
		if err := json.Unmarshal(lines.Bytes(), &row); err != nil {
			t.Fatal(err)
		}
		serials, cursor = append(serials, row.Serial), row.Cursor
	}
	return serials, cursor
}
