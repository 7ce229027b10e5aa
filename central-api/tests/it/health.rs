use crate::support::TestApp;

#[tokio::test]
async fn a_live_process_says_so() {
    let app = TestApp::start().await;
    let answer = app.client.get(app.url("/healthz")).send().await.unwrap();
    assert_eq!(answer.status(), 200);
}
