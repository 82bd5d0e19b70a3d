package revocation

import (
	"strconv"
	"testing"
)

func TestAnswersAreBounded(t *testing.T) {
	const size = 10
	c := newAnswers(size)
	often := question{certID: "asked all the time"}
	kept := c.make(often)
	for i := range 1000 {
		c.make(question{certID: strconv.Itoa(i)})
		if c.get(often) != kept {
			t.Fatalf("the answer in use was dropped after %d others", i)
		}
		if n := len(c.young) + len(c.old); n > size {
			t.Fatalf("%d answers are kept, at most %d should be", n, size)
		}
	}
	if c.get(question{certID: "0"}) != nil {
		t.Error("an answer of long ago is kept")
	}
}
