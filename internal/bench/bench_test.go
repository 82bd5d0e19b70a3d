package bench

import (
	"bufio"
	"strings"
	"testing"
	"testing/iotest"
)

func TestMet(t *testing.T) {
	low, high := Goal{Must: 3, Aim: 2}, Goal{Must: 0.5, Aim: 0.7, Higher: true}
	for _, c := range []struct {
		g    Goal
		v    float64
		want string
	}{
		{low, 2, "aim"}, {low, 2.01, "must"}, {low, 3, "must"}, {low, 3.01, "no"},
		{high, 0.7, "aim"}, {high, 0.69, "must"}, {high, 0.5, "must"}, {high, 0.49, "no"},
	} {
		if got := c.g.met(c.v); got != c.want {
			t.Errorf("%+v, %g: %q, want %q", c.g, c.v, got, c.want)
		}
	}
}

func TestMedian(t *testing.T) {
	for want, values := range map[float64][]float64{0: nil, 3: {3}, 2.5: {4, 1, 2, 3}, 7: {9, 7, 1}} {
		if got := median(values); got != want {
			t.Errorf("median of %v: %g, want %g", values, got, want)
		}
	}
}

// Certificates are counted wherever a read ends.
func TestCountCertificates(t *testing.T) {
	text := strings.Repeat("# row\n-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", 50)
	for size := 40; size < 120; size++ {
		n, err := countCertificates(bufio.NewReaderSize(iotest.HalfReader(strings.NewReader(text)), size))
		if n != 50 || err != nil {
			t.Fatalf("with a buffer of %d: %d, %v", size, n, err)
		}
	}
}

// What the limit makes is a certificate, so that it is no less than the work.
func TestLimit(t *testing.T) {
	l, err := newLimit()
	if err != nil {
		t.Fatal(err)
	}
	p, err := l.measure(1, 1)
	if err != nil || p.rate <= 0 {
		t.Errorf("%+v, %v", p, err)
	}
}
