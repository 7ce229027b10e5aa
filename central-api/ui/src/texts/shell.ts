// Words of the frame around every page.
import type { Plural, Text } from "../app/language.svelte";

export const shell = {
  skip: { uk: "До вмісту", en: "Skip to content" },
  dispatcher: { uk: "Диспетчер", en: "Dispatcher" },
  business: { uk: "Бізнес", en: "Business" },
  reports: { uk: "Звіти на пошту", en: "Reports by e-mail" },
  account: { uk: "Мій акаунт", en: "My account" },
  navigation: { uk: "Сторінки", en: "Pages" },
  menu: { uk: "Меню", en: "Menu" },
  site: { uk: "Сайт", en: "Site" },
  language: { uk: "Мова", en: "Language" },
  theme: { uk: "Оформлення", en: "Theme" },
  system: { uk: "Як у системі", en: "As the system" },
  light: { uk: "Світле", en: "Light" },
  dark: { uk: "Темне", en: "Dark" },
  logOut: { uk: "Вийти", en: "Log out" },
  stillIn: { uk: "Ви не вийшли.", en: "You are still logged in." },
  reference: { uk: "Довідник API", en: "API reference" },
  close: { uk: "Закрити", en: "Close" },
  cancel: { uk: "Скасувати", en: "Cancel" },
  save: { uk: "Зберегти", en: "Save" },
  loading: { uk: "Завантаження…", en: "Loading…" },
  retry: { uk: "Спробувати ще", en: "Try again" },
  failed: { uk: "Не вдалося завантажити.", en: "This could not be loaded." },
  pageFailed: { uk: "Сторінку не вдалося завантажити.", en: "The page could not be loaded." },
  noFile: { uk: "Файл не завантажено.", en: "The file was not downloaded." },
  unreachable: { uk: "Сервер не відповідає. Перевірте з'єднання.", en: "The server does not answer. Check the connection." },
  between: { uk: "Сервер зараз недоступний (відповідь {status}). Спробуйте за хвилину.", en: "The server cannot be reached now (it was answered {status}). Try again in a minute." },
  notDone: { uk: "Сеанс тим часом завершився, тож цього не зроблено. Спробуйте ще раз.", en: "The session had ended meanwhile, so this was not done. Try again." },
  unvaluedOfAll: { uk: "Це число за всіма замовленнями періоду: фільтри сторінки тут не діють.", en: "That is of all orders of the period: the page's filters do not hold here." },
  unvaluedWhat: {
    uk: "Що робити: внесіть курс валюти за дні цих замовлень у налаштуваннях або надсилайте його із замовленням (поле rate), і суми перерахуються самі.",
    en: "What to do: enter the currency's rate for the days of these orders in the settings, or send it with the order (field rate); the sums follow by themselves.",
  },
  sortBy: { uk: "Упорядкувати: {what}", en: "Sort by: {what}" },
  total: { uk: "Разом", en: "Total" },
  search: { uk: "Пошук", en: "Search" },
  previousPage: { uk: "Попередня сторінка", en: "Previous page" },
  nextPage: { uk: "Наступна сторінка", en: "Next page" },
  rowsOf: { uk: "{from}–{to} з {all}", en: "{from}–{to} of {all}" },
  nothing: { uk: "Тут поки нічого немає.", en: "There is nothing here yet." },
  whatIs: { uk: "Що це: {what}", en: "What is this: {what}" },
  notFound: { uk: "Такої сторінки немає", en: "There is no such page" },
  toStart: { uk: "До диспетчера", en: "To the dispatcher" },
  chooseSite: { uk: "Виберіть сайт", en: "Choose a site" },
  unknownSite: { uk: "Такого сайту немає", en: "There is no such site" },
  unknownSiteAbout: {
    uk: "Сайту «{site}» немає, або вам його не видно. Перевірте адресу або виберіть інший:",
    en: "There is no site “{site}”, or you may not see it. Check the address, or choose another:",
  },
  noSite: { uk: "Сайту ще немає", en: "There is no site yet" },
  makeSite: {
    uk: "Створіть його на сервері командою: central-api create-site shop --name \"Мій магазин\" --domain shop.example",
    en: "Make one on the server: central-api create-site shop --name \"My shop\" --domain shop.example",
  },
} as const satisfies Record<string, Text>;

/** How many purchases are in no sum. */
export const UNVALUED: Plural = {
  uk: {
    one: "{n} покупка в іншій валюті не має курсу, тож її грошей у доході немає.",
    few: "{n} покупки в іншій валюті не мають курсу, тож їхніх грошей у доході немає.",
    many: "{n} покупок в іншій валюті не мають курсу, тож їхніх грошей у доході немає.",
  },
  en: {
    one: "{n} purchase in another currency has no exchange rate, so its money is not in the revenue.",
    other: "{n} purchases in another currency have no exchange rate, so their money is not in the revenue.",
  },
};
