package batch

import (
	"bufio"
	"cmp"
	"context"
	"encoding/csv"
	"encoding/pem"
	"errors"
	"hash/crc32"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/archive"
	"github.com/pando-pki/pando/internal/pki"
)

// indexName is the file of a results archive that lists every row, and
// indexHeader its first line.
const indexName = "index.csv"

var indexHeader = []string{"row", "origin", "device", "status", "file", "issuer", "serial", "kind", "reason", "pair_row"}

// Archive writes what Results yields as a zip archive: the certificate of each
// issued row in a file of its own, in order, then an index of all rows. The same
// rows make the same archive. Nothing is written before the batch is known to be
// there. It needs access.ReadBatches.
func (s *Service) Archive(ctx context.Context, g access.Permit, id pki.BatchID, after int64, w io.Writer) (err error) {
	b, err := s.Batch(ctx, g, id)
	if err != nil {
		return err
	}
	directory, err := s.cfg.Spool.create(maxSpool)
	if err != nil {
		return err
	}
	defer directory.Close()
	rows, err := s.cfg.Spool.create(maxSpool)
	if err != nil {
		return err
	}
	defer rows.Close()

	out := archive.NewZipWriter(w, directory, b.Created)
	sum := crc32.NewIEEE()
	buffered := bufio.NewWriterSize(rows, 32<<10)
	index := csv.NewWriter(io.MultiWriter(buffered, sum))
	index.UseCRLF = true
	if err := index.Write(indexHeader); err != nil {
		return err
	}
	names := archive.NewNames()
	for r, err := range s.Results(ctx, g, id, after) {
		if err != nil {
			return err
		}
		line := []string{strconv.FormatInt(r.Row, 10), strconv.FormatInt(cmp.Or(r.Origin, r.Row), 10), string(r.Device), "cancelled", "", "", "", "", "", ""}
		if r.PairRow != 0 {
			line[9] = strconv.FormatInt(r.PairRow, 10)
		}
		switch {
		case r.Certificate != nil:
			name := fileName(&r, names)
			if err := out.Add(name, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: r.Certificate.DER})); err != nil {
				return err
			}
			line[3], line[4], line[5], line[6] = "issued", name, string(r.Certificate.Issuer), r.Certificate.Serial.String()
		case r.Archive != "":
			line[3], line[8] = "archived", "issued, expired and archived: "+r.Archive
		case r.Refusal != nil:
			line[3], line[7], line[8] = "refused", r.Refusal.Kind.String(), r.Refusal.Reason
		}
		if err := index.Write(line); err != nil {
			return err
		}
	}
	index.Flush()
	if err := errors.Join(index.Error(), buffered.Flush()); err != nil {
		return err
	}
	if err := out.AddFrom(indexName, rows.reader(), rows.size, sum.Sum32()); err != nil {
		return err
	}
	return out.Close()
}

// longestName bounds what is made of a device's id: file systems have names of up
// to 255 octets.
const longestName = 200

// fileName returns the file of a row's certificate: the device's id, with what
// file systems do not take as "%" and two digits, so that it can be read back, and
// ".pair" after that of the second certificate of a pair, as in uploads. Of
// a second device that only capitals tell from the first, the row is appended after
// "~", which no encoded id has; without an id, or with a very long one, that is all.
func fileName(r *Result, taken *archive.Names) string {
	name := encodeName(string(r.Device))
	if r.PairRow != 0 && r.Row%2 == 0 && name != "" {
		name += secondName
	}
	if name == "" || len(name) > longestName || !taken.Add(strings.ToLower(name)) {
		if len(name) > longestName {
			name = ""
		}
		name += "~" + strconv.FormatInt(r.Row, 10)
	}
	return name + ".pem"
}

// encodeName encodes an id, which is printable ASCII: what Windows and Unix
// refuse, what would hide a file or be taken for a device, and "%" and "~".
func encodeName(id string) string {
	var b strings.Builder
	for i := range len(id) {
		if strings.IndexByte(`/\:*?"<>|%~`, id[i]) >= 0 || i == 0 && (id[i] == '.' || id[i] == '-' || reserved(id)) {
			const digits = "0123456789ABCDEF"
			b.Write([]byte{'%', digits[id[i]>>4], digits[id[i]&15]})
			continue
		}
		b.WriteByte(id[i])
	}
	return b.String()
}

// reserved reports whether Windows takes the name, with any ending, for a device.
func reserved(id string) bool {
	stem, _, _ := strings.Cut(strings.ToUpper(id), ".")
	stem = strings.TrimRight(stem, " ")
	if len(stem) == 4 && (stem[:3] == "COM" || stem[:3] == "LPT") {
		return stem[3] >= '0' && stem[3] <= '9'
	}
	return slices.Contains([]string{"CON", "PRN", "AUX", "NUL"}, stem)
}
