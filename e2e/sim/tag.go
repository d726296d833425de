package sim

import "context"

// tagKey is the key of the tag in a context: it says which operation of a
// client something is done for, and tells apart what has the same content
// otherwise. Nodes hand it on, since a load has the values of its first caller.
type tagKey struct{}

func withTag(ctx context.Context, tag string) context.Context {
	return context.WithValue(ctx, tagKey{}, tag)
}

func tagOf(ctx context.Context) string {
	tag, _ := ctx.Value(tagKey{}).(string)
	return tag
}
