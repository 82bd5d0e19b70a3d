package restapi

import "github.com/pando-pki/pando/client"

// nothing is the input of an operation without parameters.
type nothing struct{ Caller }

// answer is an output that is a JSON body alone.
type answer[T any] struct{ Body T }

// listOf is an output that is one page of a listing.
type listOf[T any] = answer[client.List[T]]

// each makes a page of a listing of what f makes of each item.
func each[S, T any](items []S, next string, f func(S) T) *listOf[T] {
	out := &listOf[T]{Body: client.List[T]{Items: make([]T, len(items)), Next: next}}
	for i, item := range items {
		out.Body.Items[i] = f(item)
	}
	return out
}

// NewestFirst is embedded in the input of every list that begins with the newest. It is
// exported for huma to find it.
type NewestFirst struct {
	Before string `query:"before" pattern:"^[0-9a-v]{26}$" patternDescription:"the next of the page before" doc:"The next of the page before."`
	Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"How many at most."`
}

// slugs returns words as those of another type. It keeps a list that is absent
// apart from an empty one.
func slugs[To, From ~string](from []From) []To {
	if from == nil {
		return nil
	}
	to := make([]To, 0, len(from))
	for _, s := range from {
		to = append(to, To(s))
	}
	return to
}
