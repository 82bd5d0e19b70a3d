package cli

import (
	"bytes"
	"testing"
)

// TestLineWithoutEnd: of a line that is no line of an export little is kept.
func TestLineWithoutEnd(t *testing.T) {
	var p auditPeriod
	for range 64 {
		if n, err := p.Write(bytes.Repeat([]byte("x"), 64<<10)); n != 64<<10 || err != nil {
			t.Fatal(n, err)
		}
	}
	if cap(p.part) > 4*maxExportLine {
		t.Errorf("%d bytes are kept", cap(p.part))
	}
}
