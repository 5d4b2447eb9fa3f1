@main
struct StoreSvc {
  static func main() async throws {}
}
