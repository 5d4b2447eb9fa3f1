@main
struct Edge {
  static func main() async throws {}
}
