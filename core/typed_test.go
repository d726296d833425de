package gcnode_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/core/transporttest"
)

type user struct {
	Name string  `json:"name"`
	Age  float64 `json:"age"`
}

// loneNode is a node without peers.
func loneNode(t *testing.T) *gcnode.Node {
	t.Helper()
	node, err := gcnode.NewNode(gcnode.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return node
}

// always is a getter with one value for all keys.
func always[V any](v V) gcnode.GetterFunc[V] {
	return func(context.Context, string) (gcnode.Item[V], error) { return gcnode.Item[V]{Value: v}, nil }
}

// view makes a typed view.
func view[V any](t *testing.T, g *gcnode.Group, codec gcnode.Codec[V]) *gcnode.Typed[V] {
	t.Helper()
	typed, err := gcnode.As(g, codec)
	if err != nil {
		t.Fatal(err)
	}
	return typed
}

// testCodec has the codec encode a value, alone and through a group, and reads
// it again.
func testCodec[V any](t *testing.T, codec gcnode.Codec[V], v V, encoding string, same func(a, b V) bool) {
	t.Helper()
	b, err := codec.AppendEncode([]byte("before"), v)
	if err != nil || string(b) != "before"+encoding {
		t.Errorf("%v is appended as %q, %v; want %q", v, b, err, encoding)
	}
	group, err := gcnode.Of(loneNode(t), groupName, codec, always(v), defaultOptions)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // a load, a hit
		got, err := group.Get(t.Context(), "k")
		if err != nil || !same(got, v) {
			t.Errorf("%v comes back as %v, %v", v, got, err)
		}
	}
	raw, err := group.Group().Get(t.Context(), "k")
	if err != nil || raw.String() != encoding {
		t.Errorf("%v is stored as %q, %v; want %q", v, raw, err, encoding)
	}
}

func equal[V comparable](a, b V) bool { return a == b }

func TestCodecsGiveBackWhatTheyGot(t *testing.T) {
	for _, s := range []string{"", "a", "not UTF-8: \xff", "\x00", strings.Repeat("long", 1<<16)} {
		testCodec(t, gcnode.String(), s, s, equal)
		testCodec(t, gcnode.Bytes(), []byte(s), s, bytes.Equal)
		testCodec(t, gcnode.Raw(), gcnode.StringValue(s), s, equal)
	}
	testCodec(t, gcnode.Bytes(), nil, "", bytes.Equal)
	testCodec(t, gcnode.JSON[user](), user{"Ann", 41}, `{"name":"Ann","age":41}`, equal)
	testCodec(t, gcnode.JSON[any](), nil, "null", equal)
}

func TestEveryoneGetsBytesOfHisOwn(t *testing.T) {
	group, err := gcnode.Of(loneNode(t), groupName, gcnode.Bytes(), always([]byte("abc")), defaultOptions)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		b, err := group.Get(t.Context(), "k")
		if err != nil || string(b) != "abc" {
			t.Fatalf("%q, %v", b, err)
		}
		b[0] = 'x'
	}
	empty, err := gcnode.Of(loneNode(t), groupName, gcnode.Bytes(), always[[]byte](nil), defaultOptions)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := empty.Get(t.Context(), "k"); b == nil || len(b) > 0 || err != nil {
		t.Errorf("%#v, %v", b, err)
	}
}

func TestOneGroupHasManyViews(t *testing.T) {
	node := loneNode(t)
	users, err := gcnode.Of(node, "users", gcnode.JSON[user](), always(user{"Ann", 41}), defaultOptions)
	if err != nil {
		t.Fatal(err)
	}
	group, ok := node.Lookup("users")
	if !ok || group != users.Group() {
		t.Fatal("the group of the view is not on the node")
	}
	names := view(t, group, gcnode.JSON[struct{ Name string }]())
	text := view(t, group, gcnode.String())
	ctx := t.Context()
	if u, err := users.Get(ctx, "ann"); u != (user{"Ann", 41}) || err != nil {
		t.Errorf("%v, %v", u, err)
	}
	if n, err := names.Get(ctx, "ann"); n.Name != "Ann" || err != nil {
		t.Errorf("%v, %v", n, err)
	}
	if s, err := text.Get(ctx, "ann"); s != `{"name":"Ann","age":41}` || err != nil {
		t.Errorf("%q, %v", s, err)
	}
	if st := names.Stats(); st.Loads != 1 || st.Hits != 2 || names.Name() != "users" || names.Owner("ann") != node.Self() {
		t.Errorf("%q owned by %v, %+v", names.Name(), names.Owner("ann"), st)
	}
	if err := text.Remove(ctx, "ann"); err != nil {
		t.Error(err)
	}
	if a, err := users.Lookup(ctx, "ann"); a.Source != gcnode.SourceLoaded || a.Owner != node.Self().ID || a.Value.Name != "Ann" || err != nil {
		t.Errorf("after it was removed: %+v, %v", a, err)
	}
}

func TestTypedValuesTravelBetweenMembers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := transporttest.NewNetwork()
		loads := 0
		c := &cluster{t: t, net: net}
		var views []*gcnode.Typed[user]
		for i := range 2 {
			node, err := gcnode.NewNode(gcnode.Config{Self: list(2)[i], Transport: net.Transport(id(i)), ClockResolution: exact})
			if err != nil {
				t.Fatal(err)
			}
			net.Attach(id(i), node)
			users, err := gcnode.Of(node, groupName, gcnode.JSON[user](), gcnode.GetterFunc[user](func(_ context.Context, key string) (gcnode.Item[user], error) {
				loads++
				switch key {
				case "missing":
					return gcnode.Item[user]{Keep: gcnode.For(time.Minute)}, gcnode.ErrNotFound
				case "strange":
					return gcnode.Item[user]{Value: user{Age: math.NaN()}}, nil
				default:
					return gcnode.Item[user]{Value: user{Name: key}, Keep: gcnode.For(time.Second)}, nil
				}
			}), defaultOptions)
			if err != nil {
				t.Fatal(err)
			}
			c.setPeers(node, 2)
			c.nodes, views = append(c.nodes, node), append(views, users)
		}
		defer c.close()
		c.join()
		for _, users := range views {
			it, err := users.GetItem(t.Context(), "ann")
			if err != nil || it != (gcnode.Item[user]{Value: user{Name: "ann"}, Keep: gcnode.For(time.Second)}) {
				t.Errorf("%+v, %v", it, err)
			}
			it, err = users.GetItem(t.Context(), "missing")
			if !errors.Is(err, gcnode.ErrNotFound) || it.Keep != gcnode.For(time.Minute) {
				t.Errorf("missing: %+v, %v", it, err)
			}
		}
		if loads != 2 {
			t.Errorf("%d loads of two keys", loads)
		}
		for _, users := range views {
			_, err := users.Get(t.Context(), "strange")
			if gcnode.KindOf(err) != gcnode.KindPermanent || !strings.Contains(err.Error(), `"strange" in group "g"`) ||
				!strings.Contains(err.Error(), "encode the getter's value: json: unsupported value: NaN") {
				t.Errorf("a value that cannot be encoded: %v", err)
			}
			if a, err := users.Lookup(t.Context(), "strange"); err == nil || a != (gcnode.Answer[user]{}) {
				t.Errorf("a value that cannot be encoded: %+v, %v", a, err)
			}
		}
		if loads != 6 {
			t.Errorf("%d loads; values that cannot be encoded are not kept", loads)
		}
	})
}

func TestAValueThatDoesNotDecodeIsAnErrorAndStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		node, loads := loneNode(t), 0
		g, err := node.Group("users", gcnode.GetterFunc[gcnode.Value](func(context.Context, string) (gcnode.Item[gcnode.Value], error) {
			loads++
			return gcnode.Item[gcnode.Value]{Value: gcnode.StringValue(`{"name":"Ann","age":"old"}`), Keep: gcnode.For(time.Minute)}, nil
		}), defaultOptions)
		if err != nil {
			t.Fatal(err)
		}
		users := view(t, g, gcnode.JSON[user]())
		check := func(u user, err error) {
			t.Helper()
			e, ok := errors.AsType[*gcnode.Error](err)
			if !ok || e.Kind != gcnode.KindPermanent || e.Group != "users" || e.Key != "ann" || !errors.Is(err, gcnode.ErrPermanent) {
				t.Errorf("error %#v", err)
			}
			if cause, ok := errors.AsType[*json.UnmarshalTypeError](err); !ok || cause.Field != "age" {
				t.Errorf("the codec's error is not in the chain of %v", err)
			}
			if u != (user{}) {
				t.Errorf("a half-decoded value: %v", u)
			}
		}
		for range 2 {
			check(users.Get(t.Context(), "ann"))
			it, err := users.GetItem(t.Context(), "ann")
			check(it.Value, err)
			a, err := users.Lookup(t.Context(), "ann")
			check(a.Value, err)
			if it.Keep != gcnode.For(time.Minute) || a.Keep != it.Keep || a.Source != gcnode.SourceHit || a.Owner != node.Self().ID {
				t.Errorf("beside the error: %+v, %+v", it, a)
			}
		}
		if s, err := view(t, g, gcnode.JSON[map[string]any]()).Get(t.Context(), "ann"); s["age"] != "old" || err != nil {
			t.Errorf("for another view: %v, %v", s, err)
		}
		if loads != 1 {
			t.Errorf("%d loads", loads)
		}
	})
}

func TestAViewSetsAndStreamsItsType(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2, defaultOptions)
		var views []*gcnode.Typed[user]
		for _, g := range c.groups {
			views = append(views, view(t, g, gcnode.JSON[user]()))
		}
		keys := []string{"ann", "bob", "eve"}
		for i, key := range keys[:2] {
			if err := views[0].Set(t.Context(), key, gcnode.Item[user]{Value: user{Name: key, Age: float64(i)}, Keep: gcnode.For(time.Hour)}); err != nil {
				t.Fatal(err)
			}
		}
		c.origin.fail = gcnode.ErrNotFound
		for i, v := range views {
			values, err := v.GetMany(t.Context(), keys)
			if err != nil || len(values) != 2 || values["bob"] != (user{"bob", 1}) {
				t.Errorf("n%d: %v, %v", i, values, err)
			}
		}
		if err := views[1].Clear(t.Context()); err != nil {
			t.Error(err)
		}
		if _, err := views[0].Get(t.Context(), "ann"); !errors.Is(err, gcnode.ErrNotFound) {
			t.Errorf("after a clear: %v", err)
		}
		if err := views[0].Set(t.Context(), "ann", gcnode.Item[user]{Value: user{Age: math.NaN()}}); gcnode.KindOf(err) != gcnode.KindPermanent {
			t.Errorf("a value that JSON cannot have: %v", err)
		}
	})
}

// pairs is a batch getter of users.
type pairs struct{ batches int }

func (p *pairs) GetItem(_ context.Context, key string) (gcnode.Item[user], error) {
	return gcnode.Item[user]{Value: user{Name: key}}, nil
}

func (p *pairs) GetItems(_ context.Context, keys []string, yield func(int, gcnode.Item[user], error)) error {
	p.batches++
	for i, key := range keys {
		yield(i, gcnode.Item[user]{Value: user{Name: key}}, nil)
	}
	return nil
}

func TestATypedBatchGetterIsAskedForMany(t *testing.T) {
	getter := &pairs{}
	users, err := gcnode.Of(loneNode(t), groupName, gcnode.JSON[user](), getter, defaultOptions)
	if err != nil {
		t.Fatal(err)
	}
	values, err := users.GetMany(t.Context(), []string{"a", "b"})
	if err != nil || values["a"].Name != "a" || values["b"].Name != "b" || getter.batches != 1 {
		t.Errorf("%v, %v, %d batches", values, err, getter.batches)
	}
}

func TestAViewIsAGetter(t *testing.T) {
	node := loneNode(t)
	users, err := gcnode.Of(node, "users", gcnode.JSON[user](), gcnode.GetterFunc[user](func(_ context.Context, key string) (gcnode.Item[user], error) {
		if key == "missing" {
			return gcnode.Item[user]{}, gcnode.ErrNotFound
		}
		return gcnode.Item[user]{Value: user{Name: key}, Keep: gcnode.NoStore}, nil
	}), defaultOptions)
	if err != nil {
		t.Fatal(err)
	}
	front, err := gcnode.Of(node, "front", gcnode.JSON[user](), users, defaultOptions)
	if err != nil {
		t.Fatal(err)
	}
	if it, err := front.GetItem(t.Context(), "ann"); it.Value.Name != "ann" || it.Keep != gcnode.NoStore || err != nil {
		t.Errorf("%+v, %v", it, err)
	}
	if _, err := front.Get(t.Context(), "missing"); !errors.Is(err, gcnode.ErrNotFound) {
		t.Error(err)
	}
}

func TestViewsRefuseWhatCannotWork(t *testing.T) {
	node := loneNode(t)
	for name, test := range map[string]struct {
		make func() (*gcnode.Typed[string], error)
		want string
	}{
		"no getter": {func() (*gcnode.Typed[string], error) {
			return gcnode.Of(node, "x", gcnode.String(), nil, defaultOptions)
		}, `group "x": there is no getter`},
		"no codec": {func() (*gcnode.Typed[string], error) {
			return gcnode.Of(node, "x", nil, always(""), defaultOptions)
		}, `group "x": there is no codec`},
		"no memory": {func() (*gcnode.Typed[string], error) {
			return gcnode.Of(node, "x", gcnode.String(), always(""), gcnode.GroupOptions{})
		}, `group "x": MaxBytes 0 is too small`},
		"a view without codec": {func() (*gcnode.Typed[string], error) {
			g, err := node.Group("y", always(gcnode.Value{}), defaultOptions)
			if err != nil {
				return nil, err
			}
			return gcnode.As[string](g, nil)
		}, `group "y": there is no codec`},
	} {
		if got, err := test.make(); got != nil || err == nil || !strings.HasPrefix(err.Error(), test.want) {
			t.Errorf("%s: %v, %v; want %s", name, got, err, test.want)
		}
	}
	if _, ok := node.Lookup("x"); ok {
		t.Error("a group was made")
	}
}

// wantAllocs fails the test if f allocates more often.
func wantAllocs(t *testing.T, what string, want float64, f func()) {
	t.Helper()
	if got := testing.AllocsPerRun(1000, f); got > want {
		t.Errorf("%s allocates %v times; at most %v are expected", what, got, want)
	}
}

func TestHitsAllocateNothing(t *testing.T) {
	g, err := loneNode(t).Group(groupName, always(gcnode.StringValue("value")), gcnode.GroupOptions{MaxBytes: 1 << 20, TTL: gcnode.For(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	allocsOfAHit(ctx, t, "group", g)
	allocsOfAHit(ctx, t, "view of values", view(t, g, gcnode.Raw()))
	allocsOfAHit(ctx, t, "view of strings", view(t, g, gcnode.String()))
}

func allocsOfAHit[V comparable](ctx context.Context, t *testing.T, name string, g interface {
	Get(ctx context.Context, key string) (V, error)
	GetItem(ctx context.Context, key string) (gcnode.Item[V], error)
	Lookup(ctx context.Context, key string) (gcnode.Answer[V], error)
},
) {
	t.Helper()
	want, err := g.Get(ctx, "k")
	if err != nil {
		t.Fatal(err)
	}
	wantAllocs(t, name+": Get", 0, func() {
		if v, err := g.Get(ctx, "k"); err != nil || v != want {
			t.Error(v, err)
		}
	})
	wantAllocs(t, name+": GetItem", 0, func() {
		if it, err := g.GetItem(ctx, "k"); err != nil || it.Value != want {
			t.Error(it, err)
		}
	})
	wantAllocs(t, name+": Lookup", 0, func() {
		if a, err := g.Lookup(ctx, "k"); err != nil || a.Source != gcnode.SourceHit {
			t.Error(a, err)
		}
	})
}
