package batch

import (
	"bytes"
	"io"
	"path"
	"strings"

	"github.com/pando-pki/pando/internal/archive"
	"github.com/pando-pki/pando/internal/enroll"
	"github.com/pando-pki/pando/internal/pki"
)

// archiveLimits bound archives of requests. Requests hardly shrink, as keys and
// signatures do not; tar's blocks do, to a tenth.
var archiveLimits = archive.Limits{Entries: MaxRows, Entry: maxRow, Total: 64 << 30, Ratio: 100, Slack: 16 << 20}

// archiveReader reads the files of an archive, each of which is a row: a request
// in PEM or DER whose base name without .csr, .pem or .der is the device's id.
type archiveReader struct{ archive archive.Reader }

func (a *archiveReader) next() (enroll.Row, error) {
	e, err := a.archive.Next()
	if err != nil {
		return enroll.Row{}, err
	}
	if e.Problem != "" {
		return problem("entry %.200q: %s", e.Name, e.Problem), nil
	}
	base := e.Base()
	ext := path.Ext(base)
	switch strings.ToLower(ext) {
	case ".csr", ".pem", ".der":
	default:
		return problem("entry %.200q: its name ends in none of .csr, .pem and .der", e.Name), nil
	}
	device := pki.DeviceID(strings.TrimSuffix(base, ext))
	if err := pki.CheckDevice(device); err != nil {
		return problem("entry %.200q: %s", e.Name, pki.DetailOf(err)), nil
	}
	csr, err := decodeFile(e.Content)
	if err != nil {
		return unreadable(device, "entry %.200q: %s", e.Name, pki.DetailOf(err)), nil
	}
	return enroll.Row{Subject: enroll.Subject{Device: device, CSR: csr}}, nil
}

// decodeFile returns the request in a file, which is PEM or DER.
func decodeFile(b []byte) ([]byte, error) {
	const sequence = 0x30 // what the DER of a request begins with
	switch text := bytes.TrimSpace(b); {
	case len(text) == 0:
		return nil, pki.Errorf(pki.Malformed, "it is empty")
	case b[0] == sequence:
		return bytes.Clone(b), nil
	case bytes.HasPrefix(text, []byte("-----")):
		return decodePEM(text)
	}
	return nil, pki.Errorf(pki.Malformed, "it is neither DER nor one PEM block")
}

// newZipReader keeps the upload in the spool, since a zip archive is read from its
// end, until what it returns is called.
func newZipReader(s *Spool, r io.Reader) (*archiveReader, func(), error) {
	kept, err := s.create(maxArchive)
	if err != nil {
		return nil, nil, err
	}
	done := func() { kept.Close() } // it has served: nothing depends on what is wrong with it now
	var z archive.Reader
	if _, err = io.Copy(kept, r); err == nil {
		z, err = archive.NewZip(kept, kept.size, archiveLimits)
	}
	if err != nil {
		done()
		return nil, nil, err
	}
	return &archiveReader{z}, done, nil
}
