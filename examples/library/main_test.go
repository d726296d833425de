package main

func Example() {
	main()
	// Output: Hello, ann <nil>
}
