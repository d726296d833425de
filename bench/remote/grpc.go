package remote

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

const (
	grpcService = "gcnode.bench.Values"
	grpcMethod  = "Get"
)

// grpcUnary is a unary call of gRPC, with messages that have one field.
func grpcUnary() Contestant {
	return Contestant{
		Name: "grpc",
		serve: func(content Content) (*server, error) {
			values := content.values()
			listener, err := listen()
			if err != nil {
				return nil, err
			}
			s := grpc.NewServer()
			s.RegisterService(&grpc.ServiceDesc{
				ServiceName: grpcService,
				HandlerType: (*any)(nil),
				Methods: []grpc.MethodDesc{{
					MethodName: grpcMethod,
					Handler: func(_ any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
						var key wrapperspb.StringValue
						if err := decode(&key); err != nil {
							return nil, err
						}
						value, ok := values[key.GetValue()]
						if !ok {
							return nil, status.Errorf(codes.NotFound, "there is no key %q", key.GetValue())
						}
						return wrapperspb.Bytes(value), nil
					},
				}},
			}, nil)
			go func() { _ = s.Serve(listener) }()
			return &server{addr: listener.Addr().String(), close: s.Stop}, nil
		},
		dial: func(_ context.Context, addr string) (*Client, error) {
			conn, err := grpc.NewClient("passthrough:///"+addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
			if err != nil {
				return nil, err
			}
			return &Client{
				Get: func(ctx context.Context, want Want) error {
					var value wrapperspb.BytesValue
					err := conn.Invoke(ctx, "/"+grpcService+"/"+grpcMethod, wrapperspb.String(want.Key), &value)
					if err != nil {
						return err
					}
					return check(want, value.GetValue())
				},
				Close: conn.Close,
			}, nil
		},
	}
}
